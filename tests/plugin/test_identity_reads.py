"""Who finds out which worker it is before there are any gets workers that know; who does not gets forks."""

from __future__ import annotations

import pytest

from tests.conftest import Finished, Suite

#: A node's keys: some that differ, one that only one has, and one that is equal.
NODES = """
    import os
    import pytest

    def pytest_configure_node(node):
        number = int(node.gateway.id[2:])
        node.workerinput["ident"] = f"db{number}"
        node.workerinput["shared"] = "for all"
        if number == 0:
            node.workerinput["primary"] = True

"""


def said_method(finished: Finished) -> str:
    """The start method that a run has said it uses, and why; "fork" if it said nothing."""
    lines = [line for line in finished.stdout.lines if line.startswith("procpar: start method ")]
    return lines[0].removeprefix("procpar: start method ").partition(" (ini:")[0] if lines else "fork"


# --- keys of workerinput --------------------------------------------------------------------------

#: What a conftest does with its workerinput, and the key that tells of the worker, if one does.
USES = {
    'given["ident"]': "ident",
    'given.get("ident")': "ident",
    '"primary" in given': "primary",
    'given.get("primary")': "primary",
    'given.copy()["ident"]': "ident",
    'dict(given)["ident"]': "ident",
    "connect(**given)": "ident",
    'given["shared"]': None,
    'given["workercount"], given["testrunuid"], given["mainargv"]': None,
    '"ident" in given, "workerid" in given': None,
    'dict(given)["shared"]': None,
    'dict(given), given.copy(), list(given), {**given}': None,
    'hasattr(config, "workerinput")': None,
}  # fmt: skip


def check_use(suite: Suite, hook: str, use: str, key: str | None) -> None:
    """Use the workerinput in a hook, and see which start method that makes."""
    suite.conftest(
        NODES
        + f"""
    {"def connect(ident, **others): ..." if "connect" in use else ""}

    def look(config):
        given = getattr(config, "workerinput", None)
        if given is not None:
            {use}

    {hook}
    """
    )
    suite.trivial(4)
    finished = suite.run("-n2")
    finished.assert_summary(passed=4)
    if key is None:
        assert said_method(finished) == "fork"
    else:
        assert said_method(finished).startswith("fork-early, since conftest.py:")
        assert f'reads workerinput["{key}"]' in said_method(finished)


@pytest.mark.parametrize(("use", "key"), USES.items(), ids=USES)
@pytest.mark.python_dependent
def test_a_read_of_what_differs_between_workers_is_seen(suite: Suite, use: str, key: str | None) -> None:
    check_use(suite, "def pytest_configure(config): look(config)", use, key)


@pytest.mark.parametrize(
    "hook",
    [
        "def pytest_cmdline_main(config): look(config)",
        "def pytest_sessionstart(session): look(session.config)",
        "def pytest_collection_modifyitems(config): look(config)",
        "def pytest_generate_tests(metafunc): look(metafunc.config)",
    ],
)
def test_it_is_seen_up_to_the_first_test(suite: Suite, hook: str) -> None:
    check_use(suite, hook, 'given["ident"]', "ident")


def test_every_worker_has_what_was_prepared_for_it(suite: Suite) -> None:
    suite.conftest(
        NODES
        + """
    def pytest_configure(config):
        config.ident = getattr(config, "workerinput", {}).get("ident")
    """
    )
    suite.tests("""
        import pytest

        @pytest.mark.parametrize("i", range(8))
        def test(i, request, worker_id):
            assert request.config.ident == f"db{worker_id[2:]}"
    """)
    suite.run("-n2").assert_summary(passed=8)


def test_what_a_fixture_reads_is_its_workers_own(suite: Suite) -> None:
    suite.conftest(
        NODES
        + """
    @pytest.fixture(scope="session")
    def ident(request):
        return dict(request.config.workerinput)["ident"]
    """
    )
    suite.tests("""
        import pytest

        @pytest.mark.parametrize("i", range(8))
        def test(i, ident, worker_id):
            assert ident == f"db{worker_id[2:]}"
    """)
    finished = suite.run("-n2")
    finished.assert_summary(passed=8)
    assert said_method(finished) == "fork"


def test_a_key_is_vouched_for_by_the_file_that_reads_it(suite: Suite) -> None:
    suite.conftest(
        NODES
        + """
    def pytest_configure(config):
        config.ident = getattr(config, "workerinput", {}).get("ident")
    """
    )
    suite.trivial(4)
    finished = suite.run("-n2", "-o", "procpar_fork_safe=conftest.py")
    finished.assert_summary(passed=4)
    assert "workerinput" not in said_method(finished)


# --- copies of the environment --------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        "SETTINGS = dict(os.environ)\nDB = 'db_' + SETTINGS.get('PYTEST_XDIST_WORKER', 'main')",
        "SETTINGS = {k.lower(): v for k, v in os.environ.items()}\n"
        "DB = 'db_' + SETTINGS.get('pytest_xdist_worker', 'main')",
        "DB = 'db_{PYTEST_XDIST_WORKER}'.format(**{'PYTEST_XDIST_WORKER': 'main', **os.environ})",
    ],
    ids=["a dict", "names in lower case", "a format"],
)
@pytest.mark.parametrize("where", ["at import", "at collection"])
@pytest.mark.python_dependent
def test_an_identity_from_a_copy_of_the_environment_is_the_workers_own(
    suite: Suite, settings: str, where: str
) -> None:
    suite.file("settings.py", f"import os\n{settings}")
    suite.conftest("import settings" if where == "at import" else "")
    suite.tests("""
        import pytest
        import settings

        @pytest.mark.parametrize("i", range(8))
        def test(i, worker_id):
            assert settings.DB == f"db_{worker_id}"
    """)
    finished = suite.run("-n2")
    finished.assert_summary(passed=8)
    method = "spawn" if where == "at import" else "fork-early"
    assert said_method(finished).startswith(f"{method}, since settings.py:2 reads PYTEST_XDIST_WORKER")
    assert "from a copy of os.environ" in said_method(finished)


def test_copies_of_the_environment_for_others_are_no_reason(suite: Suite) -> None:
    suite.conftest("""
        import os
        import subprocess
        import sys
        import pytest

        ENV = {**os.environ, "MORE": "1"}
        ENV.pop("PYTEST_XDIST_WORKER", None)
        subprocess.run([sys.executable, "-S", "-c", ""], env=ENV, check=True)
        CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}

        @pytest.fixture
        def worker():
            return os.environ.get("PYTEST_XDIST_WORKER")
    """)
    suite.tests("""
        import os
        import pytest

        COPY = os.environ.copy()

        @pytest.mark.parametrize("i", range(4))
        def test(i, worker, worker_id):
            assert worker == worker_id
    """)
    finished = suite.run("-n2")
    finished.assert_summary(passed=4)
    assert said_method(finished) == "fork"


#: What all workers have.
COMMON = ["PYTEST_XDIST_TESTRUNUID", "PYTEST_XDIST_WORKER_COUNT"]


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests may run in workers themselves."""
    for name in COMMON:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", COMMON)
@pytest.mark.usefixtures("no_worker")
def test_what_all_workers_have_is_there_for_an_initial_conftest(suite: Suite, name: str) -> None:
    suite.conftest(f"import os\nFOUND = os.environ.get({name!r})")
    suite.tests(f"import os, conftest\ndef test(): assert conftest.FOUND == os.environ[{name!r}]")
    finished = suite.run("-n1")
    finished.assert_summary(passed=1)
    assert said_method(finished).endswith(f" reads {name} while it is imported")


@pytest.mark.parametrize("name", COMMON)
@pytest.mark.usefixtures("no_worker")
def test_what_all_workers_have_is_no_reason_later(suite: Suite, name: str) -> None:
    suite.conftest(f"import os\ndef pytest_configure(config): config.found = os.environ.get({name!r})")
    suite.tests(f"import os\ndef test(request): assert request.config.found == os.environ[{name!r}]")
    finished = suite.run("-n1")
    finished.assert_summary(passed=1)
    assert said_method(finished) == "fork"


# --- plugins that are imported before anything is noted -------------------------------------------


@pytest.mark.parametrize(
    ("made", "method"),
    [
        ("os.environ.get('PYTEST_XDIST_WORKER')", "spawn, since early.py:2 reads PYTEST_XDIST_WORKER"),
        ("'q' + uuid.uuid4().hex", "spawn, since early.py:2 makes a name of its own: uuid.uuid4()"),
        ("tempfile.mkdtemp()", "spawn, since early.py:2 makes a name of its own: tempfile.mkdtemp()"),
    ],
)
@pytest.mark.parametrize("where", ["early", "its_import"])
@pytest.mark.usefixtures("no_worker")
def test_what_a_plugin_has_done_that_p_names_is_the_workers_own(
    suite: Suite, made: str, method: str, where: str
) -> None:
    method = method.replace("early", where)
    suite.file("early.py", "from its_import import NAME")
    suite.file(f"{where}.py", f"import os, tempfile, uuid\nNAME = {made}")
    suite.tests("import early\nfrom recorder import note\ndef test(): note('name', name=early.NAME)")
    finished = suite.run("-n2", "--dist=each", "-p", "early")
    finished.assert_summary(passed=2)
    assert len(set(finished.facts("name", "name"))) == 2
    assert said_method(finished).startswith(method)


def test_a_harmless_plugin_that_p_names_is_no_reason(suite: Suite) -> None:
    suite.file(
        "early.py",
        """
        import os, uuid
        VARIABLE = "PYTEST_XDIST_WORKER"
        SECRET = uuid.uuid4().hex
        assert uuid.uuid4()
        def worker(): return os.environ.get("PYTEST_XDIST_WORKER") or uuid.uuid4().hex
        import its_import
        """,
    )
    suite.file("its_import.py", "import uuid\nPARAMETERS = [uuid.uuid4() for _ in 'ab']\nuuid.uuid4()")
    suite.tests("def test(): pass")
    finished = suite.run("-n2", "-p", "early")
    finished.assert_summary(passed=1)
    assert said_method(finished) == "fork"
