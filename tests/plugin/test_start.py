"""What a run costs before its first test: it compiles none of our modules, and imports those that it uses."""

from __future__ import annotations

import compileall
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import pytest_procpar
from pytest_procpar.config.choices import DISTRIBUTIONS, START_METHODS
from pytest_procpar.core.model import Dist, StartMethod
from tests.conftest import Suite

PACKAGE = Path(pytest_procpar.__file__).parent

#: Runs pytest with the package at the first argument, and writes to the second which of its files any process
#: compiles.
NOTING = """
    import os, sys

    where, log = sys.argv[1:3]
    del sys.argv[1:3]
    sys.path.insert(0, where)
    sink = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def hear(event, args):
        if event == "compile" and len(args) > 1 and isinstance(args[1], (str, bytes)):
            name = os.fsdecode(args[1])
            if name.startswith(where):
                os.write(sink, name[len(where):].lstrip("/").encode() + b"\\n")

    sys.addaudithook(hear)
    import pytest
    status = pytest.main(sys.argv[1:])
    file = sys.modules["pytest_procpar.plugin"].__file__
    raise SystemExit(status if file.startswith(where) else file)
"""


def as_folder(at: Path) -> Path:
    """Install the package as pip does: with byte code, which says nothing of pytest's."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, at / "pytest_procpar", ignore=ignored)
    assert compileall.compile_dir(at / "pytest_procpar", quiet=1)
    return at


def as_zip(at: Path) -> Path:
    """Put the package into a zip file, from which Python's own importer reads it: with byte code alone."""
    file = at / "package.zip"
    with zipfile.PyZipFile(str(file), "w") as written:
        written.writepy(str(PACKAGE))
    return file


def compiled(suite: Suite, where: Path, *args: str) -> set[str]:
    """The files of ours that a run of these arguments compiles; the run is green."""
    log = suite.file("compiled.txt", "")
    script = suite.file("noting.py", NOTING)
    command = [sys.executable, str(script), str(where), str(log), "-q", "-W", "error", *args, "test_it.py"]
    done = subprocess.run(command, cwd=script.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    return set(log.read_text(encoding="utf-8").split())


@pytest.mark.parametrize("args", [(), ("-n2",), ("-n2", "-p", "pytest_procpar.plugin")], ids=" ".join)
@pytest.mark.pytest_dependent
@pytest.mark.python_dependent
def test_a_fresh_process_compiles_nothing_of_ours(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    suite.file("test_it.py", "def test(): pass")
    where = as_folder(tmp_path)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    # pytest's own finder imports the package itself. It has no byte code for that, and may write none.
    assert compiled(suite, where, *args) <= {"pytest_procpar/__init__.py"}


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=" ".join)
def test_where_byte_code_can_be_written_nothing_is_compiled_twice(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    suite.file("test_it.py", "def test(): pass")
    where = as_folder(tmp_path)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    compiled(suite, where, *args)
    assert compiled(suite, where, *args) == set()


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=" ".join)
def test_the_package_may_be_in_a_zip_file(suite: Suite, tmp_path: Path, args: tuple[str, ...]) -> None:
    suite.file("test_it.py", "def test(): pass")
    assert compiled(suite, as_zip(tmp_path), *args) == set()


def test_the_finder_comes_first_again_and_is_gone_at_the_end() -> None:
    script = """if True:
        import atexit, sys
        atexit.register(lambda: print(ours in sys.meta_path))  # handlers run in reverse
        import pytest_procpar
        ours = sys.meta_path[0]
        assert ours.__module__ == "pytest_procpar"
        sys.meta_path.insert(0, type("Other", (), {"find_spec": staticmethod(lambda *_: None)}))
        import pytest_procpar.plugin
        assert sys.meta_path[0] is ours and sys.meta_path.count(ours) == 1
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False\n", "")


# --- what is imported -----------------------------------------------------------------------------

#: Notes which modules of ours there are.
LISTING = """
    import sys
    from recorder import note

    def ours():
        return [name[15:] for name in sys.modules if name.startswith("pytest_procpar.")]

    def pytest_configure():
        note("configured", modules=ours())

    def pytest_unconfigure():
        note("ended", modules=ours())
"""

#: What a run without workers imports, and nothing else.
PLAIN = {
    "compat", "compat.foreign_options", "compat.pytest_private", "compat.pytest_private.cache",
    "compat.pytest_private.session", "compat.xdist", "compat.xdist.hookspecs", "compat.xdist.options",
    "compat.xdist.shim", "config", "config.choices", "config.given", "config.options", "config.parsing",
    "core", "core.record", "hookspecs", "plugin", "role", "worker", "worker.marks",
}  # fmt: skip

#: What only a failure, an option or something unusual needs.
UNUSUAL = (
    "advice", "compat.pytest_reports.early_failures", "compat.pytest_reports.taking_back",
    "compat.xdist.plugin_scheduler", "config.tx_spec", "controller.deadlocks", "controller.failed_run",
    "controller.plain_isolation", "controller.recount", "core.advice", "core.fork_trial", "core.recheck",
    "core.survey.comparing", "core.survey.pairs", "core.survey.survey", "core.switching", "fresh",
    "history.page", "history.tool", "isolation", "json_report", "leaks", "recheck", "replay.kept",
    "replay.reorder", "report.findings_cache", "report.patch_file", "report.recheck", "server.spawn",
    "start_method.names.living_names", "start_method.names.whole_heap", "start_method.suspect_objects",
    "state", "switching", "system.stalled",
)  # fmt: skip

#: What the controller needs once there are tests. It imports that while the fork server collects.
LATE = (
    "controller.collaborators", "controller.course", "controller.hearing", "controller.loop",
    "controller.signals", "controller.supervision", "core.history", "core.inquiry", "core.run.run",
    "history.store", "report",
)  # fmt: skip


def test_a_run_without_workers_imports_next_to_nothing(suite: Suite) -> None:
    suite.conftest(LISTING)
    suite.trivial(1)
    finished = suite.run()
    (ended,) = finished.notes("ended")
    assert set(ended["modules"]) == PLAIN


def test_a_green_run_imports_what_it_uses(suite: Suite) -> None:
    suite.conftest(LISTING)
    suite.trivial(4)
    finished = suite.run("-n2")
    finished.assert_summary(passed=4)
    ended = finished.notes("ended")
    assert {note["worker"] for note in ended} == {"main", "gw0", "gw1"}
    unusual = {name for note in ended for name in note["modules"] if name.startswith(UNUSUAL)}
    assert unusual == set()


def test_the_controller_imports_its_own_part_while_the_fork_server_collects(suite: Suite) -> None:
    suite.conftest(LISTING)
    suite.trivial(1)
    finished = suite.run("-n2")
    early = {note["worker"]: note["modules"] for note in finished.notes("configured")}
    assert [name for name in early["main"] if name.startswith(LATE)] == []
    late = {name for note in finished.notes("ended") if note["worker"] == "main" for name in note["modules"]}
    assert {"controller.loop", "core.run.run", "report.results"} <= late


def test_the_words_of_options_are_those_of_the_core() -> None:
    assert [dist.value for dist in Dist] == list(DISTRIBUTIONS)
    assert ["auto", *(method.value for method in StartMethod)] == list(START_METHODS)
