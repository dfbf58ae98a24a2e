"""Each worker has its own name where a project's files make one, and is forked where they make none."""

from __future__ import annotations

import sys

import pytest

from tests.conftest import Suite
from tests.plugin.test_start_methods import is_unusual, said_method

#: What makes a name, as an expression of these modules; and the call.
IMPORTS = "import hashlib, os, random, secrets, socket, string, tempfile, uuid"
SOURCES = {
    "tempfile.mkdtemp()": "tempfile.mkdtemp()",
    "tempfile.NamedTemporaryFile()": "tempfile.NamedTemporaryFile(delete=False).name",
    "uuid.uuid4()": "f'it-{uuid.uuid4().hex}'",
    "os.getpid()": "'db_' + hashlib.md5(b'%d' % os.getpid()).hexdigest()",
    "secrets.token_hex()": "'s_' + secrets.token_hex(4)",
    "random.choices()": "''.join(random.choices(string.ascii_lowercase, k=12))",
    "socket.bind() to port 0": "f'http://127.0.0.1:{free_port()}/'",
}
FREE_PORT = """
def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
"""

#: Where it is made, the file, and the start method that is right.
PLACES = {
    "a conftest": ("conftest.py", "NAME = {name}", "spawn"),
    "a plugin that a conftest names": (
        "tests_plugin.py",
        "NAME = {name}",
        "spawn",
    ),
    "configure": ("conftest.py", "def pytest_configure(config): globals().update(NAME={name})", "fork-early"),
    "sessionstart": (
        "conftest.py",
        "def pytest_sessionstart(session): session.config.own_name = {name}",
        "fork-early",
    ),
    "collection": (
        "conftest.py",
        "def pytest_collection_modifyitems(config): config.own_name = {name}",
        "fork-early",
    ),
    "a test module": ("test_it.py", "NAME = {name}", "fork-early"),
    "the project's package": ("src/app/settings.py", "class Settings:\n    name = {name}", "fork-early"),
}

TEST = """
from recorder import note
def test(pytestconfig):
    import sys
    names = [getattr(pytestconfig, "own_name", None)]
    for module in map(sys.modules.get, ("conftest", "tests_plugin", "test_it", "app.settings")):
        names += [getattr(module, "NAME", None), getattr(getattr(module, "Settings", None), "name", None)]
    [name] = [name for name in names if name is not None]
    note("name", name=name)
"""


def write(suite: Suite, place: str, name: str) -> str:
    """Write a suite in which a name is made there; the start method that is right."""
    file, code, method = PLACES[place]
    suite.tests(TEST)
    parts = [IMPORTS, FREE_PORT, code.format(name=name)]
    if file == "test_it.py":
        parts.append(TEST)
    if file.startswith("src/"):
        suite.file("src/app/__init__.py", "")
        suite.conftest("import sys\nsys.path.insert(0, 'src')")
        suite.tests("import app.settings\n" + TEST)
    if place == "a plugin that a conftest names":
        suite.conftest("pytest_plugins = ['tests_plugin']")
    suite.file(file, "\n".join(parts))
    return method


@pytest.mark.parametrize(
    ("place", "call"),
    [
        *((place, "uuid.uuid4()") for place in PLACES),
        *(("a conftest", call) for call in SOURCES if call != "uuid.uuid4()"),
        ("a test module", "tempfile.NamedTemporaryFile()"),
        ("a test module", "socket.bind() to port 0"),
        ("sessionstart", "tempfile.mkdtemp()"),
        ("configure", "os.getpid()"),
    ],
)
def test_each_worker_has_its_own_name(suite: Suite, place: str, call: str) -> None:
    method = write(suite, place, SOURCES[call])
    finished = suite.run("-n2", "--dist=each")
    finished.assert_summary(passed=2)
    assert len(set(finished.facts("name", "name"))) == 2
    is_unusual(finished, method, f"{PLACES[place][0]}:", f" makes a name of its own: {call}")


@pytest.mark.parametrize("place", ["a conftest", "configure", "a test module"])
@pytest.mark.parametrize(
    "name", ["f'db_{time.time_ns()}'", "f'{datetime.datetime.now():%Y%m%d-%H%M%S-%f}.log'"]
)
def test_each_worker_has_its_own_name_of_the_time(suite: Suite, place: str, name: str) -> None:
    method = write(suite, place, name)
    file = suite.path / PLACES[place][0]
    file.write_text(f"import datetime, time\n{file.read_text()}")
    finished = suite.run("-n2", "--dist=each")
    finished.assert_summary(passed=2)
    assert len(set(finished.facts("name", "name"))) == 2
    is_unusual(finished, method, f"{PLACES[place][0]}:", " makes a name of its own of the time: NAME")


def test_each_worker_has_its_own_name_of_the_time_in_the_environment(suite: Suite) -> None:
    suite.conftest("""
        import os, time
        def pytest_configure(config): os.environ["RUN_DIR"] = f"run-{time.time_ns()}"
    """)
    suite.tests("""
        import os
        from recorder import note
        def test(): note("name", name=os.environ["RUN_DIR"])
    """)
    finished = suite.run("-n2", "--dist=each")
    assert len(set(finished.facts("name", "name"))) == 2
    is_unusual(finished, "fork-early", "a name was made of the time: the environment variable RUN_DIR")


def test_each_workers_items_have_their_own_name(suite: Suite) -> None:
    suite.conftest("""
        import uuid
        def pytest_collection_modifyitems(items):
            name = uuid.uuid4().hex
            for item in items: item.own_name = name
    """)
    suite.tests("from recorder import note\ndef test(request): note('name', name=request.node.own_name)")
    finished = suite.run("-n2", "--dist=each")
    assert len(set(finished.facts("name", "name"))) == 2
    is_unusual(finished, "fork-early", "conftest.py:", " makes a name of its own: uuid.uuid4()")


#: What holds a name where no variable of a module does, and an expression that tests find it with.
HOLDERS = {
    "an address": (f"{FREE_PORT}\nADDRESS = ('127.0.0.1', free_port())", "conftest.ADDRESS[1]"),
    "a handler": (
        "import logging\nlogging.root.addHandler(logging.FileHandler(f'x-{uuid.uuid4()}.log', delay=True))",
        "[h for h in logging.root.handlers if hasattr(h, 'delay')][0].baseFilename",
    ),
    "a fixture": (
        "import pytest\n@pytest.fixture\ndef bucket(name=f'it-{uuid.uuid4().hex}'): return name",
        "request.getfixturevalue('bucket')",
    ),
    "a setting of the time": (
        "import time\nSETTINGS = {'db': {'name': f'db_{time.time_ns()}'}}",
        "conftest.SETTINGS['db']['name']",
    ),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_each_worker_has_its_own_name_whatever_holds_it(suite: Suite, holder: str) -> None:
    code, expression = HOLDERS[holder]
    suite.conftest(f"{IMPORTS}\n{code}")
    suite.tests(f"""
        import logging
        import conftest
        from recorder import note
        def test(request): note("name", name={expression})
    """)
    finished = suite.run("-n2", "--dist=each")
    finished.assert_summary(passed=2)
    assert len(set(finished.facts("name", "name"))) == 2
    is_unusual(finished, "spawn", "conftest.py:", " makes a name of its own")


HARMLESS = {
    "a uuid that is told": "import logging, uuid\nprint(uuid.uuid4())\nlogging.info('%s', uuid.uuid4())",
    "a warning": "import uuid, warnings\nwarnings.warn(f'no {uuid.uuid4()}')",
    "an error": "import uuid\ntry: raise KeyError(f'{uuid.uuid4()}')\nexcept KeyError: pass",
    "a uuid in a cache": "import re, uuid\nassert not re.match(uuid.uuid4().hex, 'x')",
    "a folder that is gone": "import tempfile\nwith tempfile.TemporaryDirectory() as d: pass",
    "a uuid that is compared": "import uuid\nassert uuid.uuid4() != uuid.uuid4()",
    "a pid that is compared": "import os\nMAIN = os.getpid()\ndef is_main(): return os.getpid() == MAIN",
    "random numbers": "import random\nDATA = [random.randint(0, 10**6) for _ in range(20)]",
    "a credential": "import secrets\nSECRET_KEY = secrets.token_urlsafe(32)",
    "times": "import time, datetime\nNOW = datetime.datetime.now()\nTEXT, T = str(NOW), time.time()",
    "a log": "import logging\nlogging.warning('%s', 'x')",
    "a process": "import subprocess, sys\nsubprocess.run([sys.executable, '-S', '-c', ''], check=True)",
    "IPv6": "import socket\nwith socket.socket() as s: s.bind(('127.0.0.1', 0))",
    "a library": "from library import Client\nCLIENT = Client()",
    "seeded numbers": "import random\nrandom.seed(7)\nPORT = random.randint(10000, 60000)",
}


@pytest.mark.parametrize("file", ["conftest.py", "test_it.py"])
def test_what_makes_no_name_takes_fork(suite: Suite, file: str) -> None:
    suite.file(
        "env/lib/site-packages/library.py",
        "import uuid\nclass Client:\n    def __init__(self): self.id = uuid.uuid4().hex",
    )
    for number, code in enumerate(HARMLESS.values()):
        suite.file(f"harmless_{number}.py", code)
    imports = "\n".join(f"import harmless_{number}" for number in range(len(HARMLESS)))
    trivial = "\ndef test(): pass\n"
    suite.tests(trivial)
    path = "import sys\nsys.path.insert(0, 'env/lib/site-packages')\n"
    suite.file(file, path + imports + (trivial if file == "test_it.py" else ""))
    finished = suite.run("-n2")
    finished.assert_summary(passed=1, warnings=1)
    assert said_method(finished) is None


@pytest.mark.parametrize(
    "values",
    [
        "[str(uuid.uuid4()) for _ in range(3)]",
        "[tempfile.mkdtemp(), 'x', 'y']",
        "[NAME := f'n{time.time_ns()}', 'x', 'y']",
    ],
)
def test_tests_whose_ids_hold_what_was_made_are_collected_once(suite: Suite, values: str) -> None:
    suite.tests(f"""
        import tempfile, time, uuid
        import pytest
        NAME = uuid.uuid4().hex
        VALUES = {values}
        @pytest.mark.parametrize("value", VALUES)
        def test(value): assert value in VALUES
    """)
    finished = suite.run("-n2")
    finished.assert_summary(passed=3)
    assert said_method(finished) is None


#: Numbers of which names are made later, and what else no watch sees: an expression of these modules.
NUMBERS = {
    "uuid.uuid4().int % 10**6 + 1001": "uuid.uuid4(), which becomes part of a name in test_it.py:",
    "os.getpid()": "os.getpid(), which becomes part of a name in test_it.py:",
    "time.perf_counter_ns()": "time.perf_counter_ns(), which becomes part of a name in test_it.py:",
    "hashlib.md5(str(time.time()).encode()).hexdigest()[:8]": "time.time()",
    "subprocess.check_output(['mktemp', '-u'], text=True).strip()[-6:]": "the command mktemp",
}


@pytest.mark.parametrize(("file", "method"), [("conftest.py", "spawn"), ("test_it.py", "fork-early")])
@pytest.mark.parametrize("made", NUMBERS)
def test_each_worker_has_a_number_of_its_own(suite: Suite, file: str, method: str, made: str) -> None:
    code = f"import hashlib, os, subprocess, time, uuid\nRUN = {made}"
    suite.conftest(code if file == "conftest.py" else "")
    suite.tests(
        "from conftest import *\n"
        + (code if file == "test_it.py" else "")
        + """
from recorder import note
def test(): note("name", name=f"db_{RUN}")
"""
    )
    finished = suite.run("-n2", "--dist=each")
    finished.assert_summary(passed=2)
    assert len(set(finished.facts("name", "name"))) == 2
    is_unusual(finished, method, f"{file}:", f" makes a name of its own: {NUMBERS[made]}")


@pytest.mark.parametrize("options", [["-n2"], ["-n2", "--start-method=fork"]], ids=["auto", "fork"])
def test_what_is_skipped_in_other_processes_is_not_skipped_in_workers(
    suite: Suite, options: list[str]
) -> None:
    suite.tests("""
        import os
        import pytest
        MAIN = os.getpid()
        @pytest.fixture
        def main():
            if os.getpid() != MAIN:
                pytest.skip("this is another process")
        @pytest.mark.parametrize("number", range(4))
        def test(main, number): pass
    """)
    finished = suite.run(*options)
    if "--start-method=fork" in options:
        finished.assert_summary(skipped=4)
        return
    finished.assert_summary(passed=4)
    by = "os.getpid(), by which other processes are refused in test_it.py:"
    is_unusual(finished, "fork-early", f"test_it.py:3 makes a name of its own: {by}")


@pytest.mark.parametrize("name", ["getbasetemp()", "mktemp('x')"])
def test_the_base_folder_may_be_inside_the_root(suite: Suite, name: str) -> None:
    suite.give_basetemp = False
    suite.conftest(f"""
        def pytest_sessionstart(session):
            session.config.own_name = str(session.config._tmp_path_factory.{name} / "db")
    """)
    suite.tests(TEST)
    finished = suite.run("-n2", "--dist=each", "--basetemp=base")
    finished.assert_summary(passed=2)
    assert len(set(finished.facts("name", "name"))) == 2
    is_unusual(finished, "fork-early", "conftest.py:", " makes a name of its own: tmp_path_factory.")


@pytest.mark.parametrize("restarts", ["0", "1"])
def test_a_name_is_shared_with_nobody_if_no_second_process_runs_tests(suite: Suite, restarts: str) -> None:
    suite.tests("import uuid\nNAME = uuid.uuid4().hex\ndef test(): pass")
    finished = suite.run("-n1", "--recheck=none", f"--max-worker-restart={restarts}")
    finished.assert_summary(passed=1)
    assert (said_method(finished) is None) == (restarts == "0")


@pytest.mark.parametrize("vouched", ["names", "test_it.py"])
def test_project_vouches_for_names(suite: Suite, vouched: str) -> None:
    suite.tests("import uuid\nNAME = uuid.uuid4().hex\ndef test(): pass")
    finished = suite.run("-n2", "-o", f"procpar_fork_safe=recorder.py\n{vouched}")
    finished.assert_summary(passed=1)
    assert said_method(finished) is None


@pytest.mark.parametrize("method", ["fork", "fork-early", "spawn", "auto"])
def test_tests_find_the_standard_library_as_it_is(suite: Suite, method: str) -> None:
    suite.conftest("""
        import os, uuid
        from os import getpid
        from random import choice
        assert os.mkdir in os.supports_dir_fd
    """)
    suite.tests("""
        import _thread, os, posix, random, socket, threading, types, uuid
        from conftest import choice, getpid
        from os import urandom
        def test():
            assert getpid is os.getpid and type(getpid) is type(len)
            assert urandom is os.urandom is random._urandom and type(urandom) is type(len)
            assert threading.get_native_id is _thread.get_native_id and os.mkdir is posix.mkdir
            assert choice == random.choice and "bind" not in vars(socket.socket)
            for function in (random.Random.choice, random.Random.seed, uuid.UUID.__init__):
                assert "procpar" not in function.__code__.co_filename
    """)
    finished = suite.run("-n2", f"--start-method={method}")
    finished.assert_summary(passed=1)
    assert said_method(finished) is None


@pytest.mark.skipif(sys.version_info < (3, 14), reason="uuid7 came with 3.14")
def test_newer_uuids(suite: Suite) -> None:
    suite.tests("import uuid\nNAME = str(uuid.uuid7())\ndef test(): pass")
    finished = suite.run("-n2")
    finished.assert_summary(passed=1)
    is_unusual(finished, "fork-early", "test_it.py:2 makes a name of its own: uuid.uuid7()")


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (
            "folder / 'db'",
            "fork-early, since conftest.py:2 makes a name of its own: tmp_path_factory.getbasetemp()",
        ),
        ("folder.parent / 'db'", "fork"),
    ],
    ids=["the worker's", "that of all"],
)
def test_the_base_folder_that_a_hook_asks_for_is_the_workers_own(
    suite: Suite, path: str, method: str
) -> None:
    suite.give_basetemp = False
    suite.conftest(f"""
        def pytest_sessionstart(session):
            folder = session.config._tmp_path_factory.getbasetemp()
            session.config.own_name = str({path})
    """)
    suite.tests(TEST)
    finished = suite.run("-n2", "--dist=each")
    finished.assert_summary(passed=2)
    assert (said_method(finished) or "fork") == method
    assert len(set(finished.facts("name", "name"))) == (1 if method == "fork" else 2)
