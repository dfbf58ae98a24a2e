import os
import subprocess
import sys
import time

PARENT = """
import os
import time

pid = os.fork()
if pid == 0:
    os._exit(0)
print(pid, flush=True)
time.sleep(600)
"""


def test_ended_child_of_a_killed_process_goes_away():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        zombie = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 60
    while os.path.exists(f"/proc/{zombie}"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_other():
    pass
