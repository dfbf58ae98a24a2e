import os
import platform
import subprocess
import tempfile
import threading

ENVIRONMENT = os.environ.copy()
HOST = platform.node()
WHERE = tempfile.gettempdir()
LOCK = threading.RLock()
SAID = subprocess.run(["echo", "x"], capture_output=True, check=True).stdout

started = threading.Thread(target=LOCK.acquire)
started.start()
started.join()
LOCK = threading.RLock()
