"""Numbers of which a project makes names are found, and names of clocks and commands; others are not."""

from __future__ import annotations

import shutil
import sys

import pytest

from tests.process.projects import Project

#: In processes of their own: what other tests of a worker keep in memory may have its process id in a text.
pytestmark = [pytest.mark.python_dependent, pytest.mark.isolated]

#: Code of a module that makes a number of which it makes a name later, and the call that is to blame.
NUMBERS = {
    "a uuid's": (
        "import uuid\nRUN = uuid.uuid4().int % 10**6 + 1001\ndef test(): connect(f'db_{RUN}')",
        "uuid.uuid4()",
    ),
    "drawn by the system": (
        "import random\nRUN = random.SystemRandom().randrange(1001, 10**6)\ndef test(): connect(f'db_{RUN}')",
        "random.randrange()",
    ),
    "drawn by a generator of the system": (
        "import random\nrng = random.SystemRandom()\nRUN = rng.randrange(1001, 10**6)\n"
        "def test(): connect(f'{RUN}.sqlite')",
        "random.randrange()",
    ),
    "drawn by secrets": (
        "import secrets\nRUN = secrets.randbelow(10**9) + 1001\ndef test(): connect('db_%d' % RUN)",
        "secrets.randbelow()",
    ),
    "the process's": ("import os\nRUN = os.getpid()\ndef test(): connect('db_%d' % RUN)", "os.getpid()"),
    "the process's, few digits": (
        "import os\nRUN = (os.getpid() % 90 + 10) * 10 + 7\ndef test(): connect('db_%02d.%s' % (RUN, 'x'))",
        "os.getpid()",
    ),
    "the process's, added": (
        "import os\nRUN = os.getpid()\ndef test(): connect('db' + str(RUN))",
        "os.getpid()",
    ),
    "the process's, formatted": (
        "import os\nRUN = os.getpid()\ndef test(): connect('db_{n:x}'.format(n=RUN))",
        "os.getpid()",
    ),
    "the process's, a path": (
        "import os\nRUN = os.getpid()\ndef test(tmp): (tmp / f'{RUN}').mkdir()",
        "os.getpid()",
    ),
    "the process's, joined": (
        "import os\nRUN = os.getpid()\ndef test(tmp): os.path.join(tmp, hex(RUN)[2:])",
        "os.getpid()",
    ),
    "the process's, in a class": (
        "import os\nclass Settings:\n    run = os.getpid()\ndef test(): connect(f'db_{Settings.run}')",
        "os.getpid()",
    ),
    "the process's, in a dictionary": (
        "import os\nSETTINGS = {'run': os.getpid()}\ndef test(): connect(f\"db_{SETTINGS['run']}\")",
        "os.getpid()",
    ),
    "the process's, by a fixture": (
        "import os\nRUN = os.getpid()\ndef run_id():\n    return RUN\n"
        "def test(run_id): connect(f'db_{run_id}')",
        "os.getpid()",
    ),
    "the process's, by a yield": (
        "import os\nRUN = os.getpid()\ndef run_id():\n    yield int(RUN)\n"
        "def test(run_id): connect(f'{here}{run_id}')",
        "os.getpid()",
    ),
    "the thread's": (
        "import threading\nRUN = threading.get_native_id()\ndef test(): connect(f'db_{RUN}')",
        "threading.get_native_id()",
    ),
    "of nanoseconds": (
        "import time\nRUN = time.time_ns()\ndef test(): connect(f'db_{RUN}')",
        "time.time_ns()",
    ),
    "of milliseconds": (
        "import time\nRUN = int(time.time() * 1000)\ndef test(): connect(f'test-{RUN}@example.org')",
        "time.time()",
    ),
    "of some nanoseconds": (
        "from time import time_ns\nRUN = str(time_ns() % 10**9 + 1001)\n"
        "def test(): connect('db_' + RUN + '.x')"
        "\ndef other(): connect(f'db_{RUN}')",
        "time_ns()",
    ),
    "of another clock": (
        "import time\nclass C:\n    run = time.perf_counter_ns()\ndef test(): connect(f'db_{C.run}')",
        "time.perf_counter_ns()",
    ),
    "by which tests are skipped": (
        "import os, pytest\nMAIN = os.getpid()\ndef test():\n"
        "    if os.getpid() != MAIN: pytest.skip('forked')",
        "os.getpid()",
    ),
    "by which a mark skips": (
        "import os, pytest\nMAIN = os.getpid()\n@pytest.mark.skipif('os.getpid() != MAIN', reason='forked')\n"
        "def test(): pass",
        "os.getpid()",
    ),
    "by which an object refuses": (
        "import os\nclass Client:\n    def __init__(self): self.pid = os.getpid()\n    def call(self):\n"
        "        if self.pid != os.getpid(): raise RuntimeError('another process')\nCLIENT = Client()",
        "os.getpid()",
    ),
    "by which tests are skipped, in a function": (
        "import os, pytest\nMAIN = os.getpid()\ndef is_main(): return os.getpid() == MAIN\n"
        "def test():\n    if not is_main(): pytest.skip('forked')",
        "os.getpid()",
    ),
}
#: Names that no watch sees, and what their reason ends with.
TOLD = {
    "a hash of the time": (
        "import hashlib, time\nRUN = hashlib.md5(str(time.time()).encode()).hexdigest()",
        "time.time()",
    ),
    "a hash of the time, by a function": (
        "import datetime, hashlib\ndef make():\n"
        "    now = hashlib.sha1(str(datetime.datetime.now()).encode())\n"
        "    return now.hexdigest()\nRUN = make()",
        "datetime.datetime.now()",
    ),
    "a uuid of the time": (
        "import time, uuid\nRUN = f'x{uuid.uuid5(uuid.NAMESPACE_DNS, str(time.time()))}'",
        "time.time()",
    ),
    "another clock": ("import time\nRUN = f'x{time.perf_counter_ns()}'", "time.perf_counter_ns()"),
    "a clock without a date": ("import time\nC = {'db': f'x{time.monotonic_ns()}'}", "time.monotonic_ns()"),
    "the environment": (
        "import os, time\nos.environ['PROCPAR_TRIED'] = 'x%x' % time.monotonic_ns()",
        "time.monotonic_ns()",
    ),
    "the command mktemp": (
        "import subprocess\nFOLDER = subprocess.check_output(['mktemp', '-u'], text=True).strip()",
        "the command mktemp",
    ),
    "the command mktemp in a shell": (
        "import subprocess\nFOLDER = subprocess.run('d=$(mktemp -u) && echo $d', shell=True,\n"
        "    capture_output=True, text=True).stdout.strip()",
        "the command mktemp",
    ),
    "the kernel's uuids": (
        "from pathlib import Path\nRUN = Path('/proc/sys/kernel/random/uuid').read_text().strip()",
        "/proc/sys/kernel/random/uuid",
    ),
    "the kernel's uuids, a file": (
        "with open('/proc/sys/kernel/random/uuid') as file:\n    RUN = 'run-' + file.read().strip()",
        "/proc/sys/kernel/random/uuid",
    ),
}
#: Folders that are made under a number that is free.
NUMBERED = {
    "a loop": (
        "import itertools, os\nfor i in itertools.count():\n    try:\n        os.mkdir(f'{ROOT}/run{i}')\n"
        "        break\n    except FileExistsError:\n        pass",
        "os.mkdir()",
    ),
    "a function": (
        "from pathlib import Path\ndef free():\n    n = 1\n"
        "    while (Path(ROOT) / f'run-{n}').exists(): n += 1\n"
        "    (Path(ROOT) / f'run-{n}').mkdir(parents=True)\nfree()",
        "pathlib.mkdir()",
    ),
    "after the highest": (
        "import os\nn = max([0, *(int(name) for name in os.listdir(ROOT))]) + 1\nos.makedirs(f'{ROOT}/{n}')",
        "os.makedirs()",
    ),
}
#: Numbers that are no names, clocks that time things, and folders with fixed names.
NO_NAMES = {
    "a seed": "import random\nSEED = random.randrange(10**9)\ndef test(): run(f'x-{SEED}')",
    "a number that is shown": (
        "import random\nRUN = random.randrange(1001, 10**9)\n"
        "def pytest_report_header(): return f'run-{RUN}'\ndef test():\n    print(f'run-{RUN}')\n"
        "    assert 1, f'run-{RUN}'\n    if 0: raise KeyError(f'run-{RUN}')"
    ),
    "a number in a sentence": (
        "import os, random\nPID, N = os.getpid(), random.randrange(1001, 10**9)\n"
        "def test(): say(f'pid: {PID}, seed={N} ({N})')"
    ),
    "a number that is compared": (
        "import os\nPID = os.getpid()\ndef test(): assert name() != f'db_{PID}'\ndef other(): return PID == 1"
    ),
    "a small number": "import random\nN = random.randint(0, 1000)\ndef test(): get(f'item-{N}')",
    "a number of the same name": (
        "import os\nPID = os.getpid()\nclass C:\n    number = 7\ndef test(): connect(f'db_{C.number}')"
    ),
    "a start": (
        "import time\nSTART, T = time.perf_counter_ns(), time.time()\n"
        "def test(): say(f'x-{time.perf_counter_ns() - START}', f'x-{time.time() - T}')"
    ),
    "a duration": (
        "import time\nSTART = time.time_ns()\nTOOK = time.time_ns() - START + 5000\n"
        "def test(): say(f't-{TOOK}')"
    ),
    "a moment": "import time\nNOW = int(time.time() * 1000)\ndef test(): post({'at': NOW, 'q': f'at={NOW}'})",
    "a moment of tomorrow": (
        "import datetime\nT = (datetime.datetime.now() + datetime.timedelta(days=2 * 7)).isoformat()"
    ),
    "seconds": "import time\nRUN = int(time.time())\ndef test(): connect(f'db_{RUN}')",
    "a constant beside a clock": (
        "import time\nPORTS = 5000\nSIZE = 64 * 1024\nHASH = 'a1b2' + 'c3d4'\nT = time.time_ns()\n"
        "def test():\n    size = time.time_ns()\n    connect(f'db_{SIZE}')"
    ),
    "a clock in a test": (
        "import time\nNAME = 'db' + str(7000 + 7)\ndef test():\n"
        "    NAME = f'db_{time.time_ns()}'\n    connect(NAME)"
    ),
    "another command": (
        "import subprocess\n"
        "V = subprocess.run(['echo', 'a1b2c3d4e5'], capture_output=True, text=True).stdout[:-1]"
    ),
    "the machine's id": (
        "with open('/proc/sys/kernel/random/boot_id') as file:\n    NAME = file.read().strip()"
    ),
    "folders with numbers": "import os\nfor i in range(3):\n    os.mkdir(f'{ROOT}/data{i}')",
    "folders that are kept": (
        "import os\nfor i in range(3):\n    if not os.path.exists(f'{ROOT}/d{i}'):\n"
        "        os.mkdir(f'{ROOT}/d{i}')"
    ),
    "a folder that is gone again": NUMBERED["a loop"][0] + "\nos.rmdir(f'{ROOT}/run{i}')",
    "an object that begins anew": (
        "import os\nclass Client:\n    def __init__(self): self.pid = os.getpid()\n    def call(self):\n"
        "        if self.pid != os.getpid(): self.__init__()\n        raise KeyError\nCLIENT = Client()"
    ),
    "a process that is known": (
        "import os, pytest\nMAIN = os.getpid()\ndef test():\n    if MAIN == 1: pytest.skip('no init')"
    ),
}


def with_root(project: Project, code: str) -> str:
    (project.root / "made").mkdir()
    return f"ROOT = {str(project.root / 'made')!r}\n{code}"


@pytest.mark.parametrize("what", NUMBERS)
def test_a_number_of_which_names_are_made_is_found(project: Project, what: str) -> None:
    code, call = NUMBERS[what]
    (reason, *_) = project.reasons(code)
    place, _, words = reason.partition(" makes a name of its own: ")
    assert place.startswith("settings.py:")
    called, _, use = words.partition(", ")
    assert called == call
    refused = "by which other processes are refused in settings.py:"
    assert use.startswith(refused if "by which" in what else "which becomes part of a name in settings.py:")


@pytest.mark.parametrize("what", TOLD)
def test_a_name_is_found_by_its_source(project: Project, what: str) -> None:
    code, words = TOLD[what]
    if "mktemp" in what and shutil.which("mktemp") is None:
        pytest.skip("there is no such command")
    if "kernel" in what and sys.platform != "linux":
        pytest.skip("there is no such file")
    reasons = project.reasons(code)
    assert [reason.partition(": ")[2] for reason in reasons] == [words]
    assert reasons[0].startswith("settings.py:")


@pytest.mark.parametrize("what", NUMBERED)
def test_a_folder_with_a_free_number_is_found(project: Project, what: str) -> None:
    code, call = NUMBERED[what]
    (reason,) = project.reasons(with_root(project, code))
    assert reason.startswith("settings.py:")
    assert reason.endswith(f" makes a name of its own: {call}")


@pytest.mark.parametrize("what", NO_NAMES)
def test_other_numbers_and_clocks_are_no_names(project: Project, what: str) -> None:
    assert project.reasons(with_root(project, NO_NAMES[what])) == []


@pytest.mark.parametrize(
    "use",
    [
        "import tried_settings\ndef test(): connect(f'db_{tried_settings.RUN}')",
        "from tried_settings import RUN\ndef test(): connect(f'db_{RUN}')",
        "import pytest\ndef test(run_id): connect(f'db_{run_id}')",
    ],
)
def test_a_number_is_part_of_a_name_in_another_file(project: Project, use: str) -> None:
    names = project.names()
    names.begin()
    project.load("import os\nRUN = os.getpid()\ndef run_id(): return RUN", "settings.py")
    project.load(use, "test_it.py")
    names.end()
    found = "settings.py:2 makes a name of its own: os.getpid(), which becomes part of a name in test_it.py:2"
    assert list(names.findings()) == [found]


def test_another_number_of_that_name_is_no_part_of_a_name(project: Project) -> None:
    project.load("RUN = 7\ndef test(): connect(f'db_{RUN}')", "test_it.py")
    assert project.reasons("import os\nRUN = os.getpid()") == []


@pytest.mark.parametrize(
    "call", ["os.getpid()", "time.time_ns()", "random.randrange(1001, 10**9)"], ids=["pid", "clock", "drawn"]
)
def test_names_are_made_later_of_an_initial_conftests_number(project: Project, call: str) -> None:
    names = project.names()
    names.begin()
    project.load(f"import os, random, time\nRUN = {call}", "conftest.py")
    names.end()
    assert list(names.findings()) == []
    names.begin()
    project.load("from tried_conftest import RUN\ndef test(): connect(f'db_{RUN}')", "test_it.py")
    names.end()
    assert list(names.findings()) == []
    (reason,) = names.early_findings()
    assert reason.startswith("conftest.py:2 makes a name of its own: ")
    assert reason.endswith(", which becomes part of a name in test_it.py:2")


def test_numbers_in_ids_are_no_names(project: Project) -> None:
    names = project.names()
    names.begin()
    module = project.load("import os\nRUN = os.getpid()\ndef test(): connect(f'db_{RUN}')")
    names.end()
    assert len(list(names.findings())) == 1
    project.ids = [f"test_it.py::test[{module.RUN}]"]
    assert list(names.findings()) == []


@pytest.mark.parametrize(
    "code",
    [
        "import time\nRUN = time.perf_counter_ns()\ndef test(): connect(f'db_{RUN}')",
        "import hashlib, time\nRUN = hashlib.md5(str(time.time()).encode()).hexdigest()",
    ],
)
def test_what_clocks_say_is_no_name_if_ids_hold_it(project: Project, code: str) -> None:
    names = project.names()
    names.begin()
    module = project.load(code)
    names.end()
    assert len(list(names.findings())) == 1
    project.ids = [f"test_it.py::test[{module.RUN}]"]
    assert list(names.findings()) == []
