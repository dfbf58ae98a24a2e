import atexit
import subprocess
import sys

import requests

SERVER = """
import http.server


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
print(server.server_port, flush=True)
server.serve_forever()
"""
PROCESS = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)


def end():
    SESSION.close()
    PROCESS.stdout.close()
    PROCESS.kill()
    PROCESS.wait()


PORT = int(PROCESS.stdout.readline())
SESSION = requests.Session()
atexit.register(end)
SESSION.get(f"http://127.0.0.1:{PORT}/warm-up")
