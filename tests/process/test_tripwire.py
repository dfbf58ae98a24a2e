"""Who asks which worker it is in is found out, whichever way it asks; who does not is left alone."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pytest_procpar.start_method.tripwire import Read, Tripwire

pytestmark = pytest.mark.python_dependent

_VARIABLE = "PYTEST_XDIST_WORKER"

#: Code that asks.
READS = [
    "os.environ.get('PYTEST_XDIST_WORKER')",
    "os.environ.get('PYTEST_XDIST_WORKER', 'main')",
    "os.getenv('PYTEST_XDIST_WORKER')",
    "os.getenv('PYTEST_XDIST_WORKER', default='main')",
    "os.environ['PYTEST_XDIST_WORKER']",
    "'PYTEST_XDIST_WORKER' in os.environ",
    "'PYTEST_XDIST_WORKER' not in os.environ",
    "'PYTEST_XDIST_WORKER' in os.environ.keys()",
    "os.environ.setdefault('PYTEST_XDIST_WORKER', 'gw9')",
    "os.environ.pop('PYTEST_XDIST_WORKER', None)",
    "os.environb.get(b'PYTEST_XDIST_WORKER')",
    "os.environb[b'PYTEST_XDIST_WORKER']",
    "b'PYTEST_XDIST_WORKER' in os.environb",
    "os.getenvb(b'PYTEST_XDIST_WORKER')",
    "from os import environ; environ.get('PYTEST_XDIST_WORKER')",
    "from os import getenv; getenv('PYTEST_XDIST_WORKER')",
    "for name in os.environ: name == 'PYTEST_XDIST_WORKER' and os.environ[name]",
    "for name in os.environ: os.environ.get('PYTEST_XDIST_WORKER')",
    "dict(os.environ); os.environ.get('PYTEST_XDIST_WORKER')",
    "[*os.environ]; 'PYTEST_XDIST_WORKER' in os.environ",
    "(lambda: os.environ.get('PYTEST_XDIST_WORKER'))()",
    "import posixpath; posixpath.expandvars('db_$PYTEST_XDIST_WORKER')",
    "import string; string.Template('$PYTEST_XDIST_WORKER').substitute(os.environ)",
]

#: Variables that are the same in all workers.
_COMMON = ("PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID")

#: Code that does not ask.
NO_READS = [
    "dict(os.environ)",
    "{**os.environ}",
    "{**os.environ, 'A': 'b'}",
    "os.environ.copy()",
    "os.environb.copy()",
    "copy.copy(os.environ)",
    "dict(os.environ.items())",
    "{name: value for name, value in os.environ.items()}",
    "list(os.environ), list(os.environ.keys())",
    "list(os.environ.values())",
    "len(os.environ), bool(os.environ), repr(os.environ)",
    "os.environ == {}",
    "os.environ | {'A': 'b'}",
    "{'A': 'b'} | os.environ",
    "dict(os.environ); dict(os.environ)",
    "next(iter(os.environ)); dict(os.environ)",
    "subprocess.run([sys.executable, '-S', '-c', ''], env=os.environ, check=True)",
    "subprocess.run([sys.executable, '-S', '-c', ''], env={**os.environ}, check=True)",
    "os.waitpid(os.posix_spawn(sys.executable, [sys.executable, '-S', '-c', ''], os.environ), 0)",
    "os.waitpid(os.spawnve(os.P_NOWAIT, sys.executable, ['x', '-S', '-c', ''], os.environ), 0)",
    "os.environ['PYTEST_XDIST_WORKER'] = 'gw7'",
    "os.environ.update(PYTEST_XDIST_WORKER='gw7')",
    "os.putenv('PYTEST_XDIST_WORKER', 'gw7')",
    "del os.environ['PYTEST_XDIST_WORKER']",
    "os.environ.get('PYTEST_XDIST_WORKER_COUNT')",
    "os.environ.get('PYTEST_XDIST_TESTRUNUID'), os.environ.get('pytest_xdist_worker')",
    "os.environ.get('HOME'), os.getenv('NOWHERE'), 'PATH' in os.environ",
    "os.path.expandvars('$HOME'), os.path.expanduser('~')",
]


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    data = os.environ._data  # type: ignore[attr-defined]
    before = os.environ.copy()
    for name in _COMMON:
        os.environ[name] = "4"
    yield
    assert os.environ._data is data  # type: ignore[attr-defined]
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def wire() -> Iterator[Tripwire]:
    """One that is laid, in an environment that has an identity."""
    made = Tripwire(lambda file: Path(file).name == "vouched.py")
    os.environ[_VARIABLE] = "gw0"
    made.lay()
    yield made
    made.cut()


def import_code(code: Any, namespace: dict[str, Any]) -> None:
    """Run code as pytest has it imported: what called pytest is no part of it."""
    pytests: dict[str, Any] = {"__name__": "_pytest.pathlib"}
    exec("def import_module(code, namespace): exec(code, namespace)", pytests)
    pytests["import_module"](code, namespace)


def run_code(text: str, file: str = "/there/settings.py", name: str = "settings") -> None:
    """Run code as a module of that name, from that file, whose second line it is."""
    namespace: dict[str, Any] = {
        "__name__": name, "os": os, "sys": sys, "copy": copy, "subprocess": subprocess,
    }  # fmt: skip
    import_code(compile(f"\n{text}", file, "exec"), namespace)


def read_by(wire: Tripwire) -> Read:
    assert wire.first is not None
    return wire.first


@pytest.mark.parametrize("code", READS)
def test_every_way_to_ask_is_noted(wire: Tripwire, code: str) -> None:
    run_code(code)
    read = read_by(wire)
    assert (read.file, read.line, read.module) == ("/there/settings.py", 2, "settings")
    assert read.what == _VARIABLE


@pytest.mark.parametrize("code", READS)
def test_who_asks_for_what_is_not_there_asks_too(wire: Tripwire, code: str) -> None:
    del os.environ[_VARIABLE]
    with suppress(KeyError):
        run_code(code)
    looks_for_it = "for name in os.environ: name" not in code
    assert (wire.first is not None) is looks_for_it


@pytest.mark.parametrize("name", _COMMON)
def test_what_all_workers_have_is_asked_for_where_it_is_not_there_yet(wire: Tripwire, name: str) -> None:
    del os.environ[name]
    run_code(f"os.environ.get('{name}')")
    assert read_by(wire).what == name


@pytest.mark.parametrize("code", NO_READS)
def test_who_asks_for_something_else_is_not(wire: Tripwire, code: str) -> None:
    run_code(code)
    assert wire.first is None


@pytest.mark.parametrize("code", [code for code in [*READS, *NO_READS] if "waitpid" not in code])
def test_nothing_but_the_note_is_different(code: str) -> None:
    def outcome() -> tuple[object, ...]:
        os.environ[_VARIABLE] = "gw0"
        value: object = None
        with suppress(SyntaxError):
            value = eval(code, {"os": os, "sys": sys, "copy": copy, "subprocess": subprocess})
        comparable = value if isinstance(value, (dict, list, tuple, str, bytes, bool, type(None))) else None
        return comparable, dict(os.environ)

    without = outcome()
    wire = Tripwire()
    wire.lay()
    try:
        assert outcome() == without
    finally:
        wire.cut()


def test_a_key_that_is_missing_is_a_key_error_that_names_it(wire: Tripwire) -> None:
    for name in (_VARIABLE, "NOWHERE"):
        os.environ.pop(name, None)
        with pytest.raises(KeyError) as caught:
            os.environ[name]
        assert caught.value.args == (name,)
        with pytest.raises(KeyError):
            del os.environ[name]


def test_the_first_who_asks_is_noted(wire: Tripwire) -> None:
    run_code("os.getenv('PYTEST_XDIST_WORKER')", "/there/one.py")
    run_code("os.getenv('PYTEST_XDIST_WORKER')", "/there/two.py")
    assert read_by(wire).file == "/there/one.py"


def test_the_place_is_relative_to_the_rootdir_if_it_is_inside(wire: Tripwire) -> None:
    run_code("os.getenv('PYTEST_XDIST_WORKER')", "/there/sub/settings.py")
    assert read_by(wire).place(Path("/there")) == "sub/settings.py:2"
    assert read_by(wire).place(Path("/elsewhere")) == "/there/sub/settings.py:2"
    assert read_by(wire).place(Path("/there/su")) == "/there/sub/settings.py:2"


def test_a_plugin_in_an_environment_below_the_rootdir_is_not_the_projects(wire: Tripwire) -> None:
    file = "/there/.venv/lib/python3/site-packages/plugin.py"
    run_code("os.getenv('PYTEST_XDIST_WORKER')", file)
    assert read_by(wire).place(Path("/there")) == f"{file}:2"


def test_a_file_that_is_vouched_for_may_ask_and_another_one_afterwards_not(wire: Tripwire) -> None:
    run_code("os.getenv('PYTEST_XDIST_WORKER')", "/there/vouched.py")
    assert wire.first is None
    run_code("os.getenv('PYTEST_XDIST_WORKER')", "/there/other.py")
    assert read_by(wire).file == "/there/other.py"


@pytest.mark.parametrize("name", ["pytest_cov", "pytest_cov.engine", "syrupy.utils", "inline_snapshot"])
def test_plugins_that_do_no_harm_by_it_may_ask(wire: Tripwire, name: str) -> None:
    run_code("os.getenv('PYTEST_XDIST_WORKER')", name=name)
    assert wire.first is None


@pytest.mark.parametrize("name", ["pytest_covered", "pytest_coverage", "my.syrupy"])
def test_plugins_with_similar_names_may_not(wire: Tripwire, name: str) -> None:
    run_code("os.getenv('PYTEST_XDIST_WORKER')", name=name)
    assert read_by(wire).module == name


def test_who_asks_by_way_of_another_module_is_the_one(wire: Tripwire) -> None:
    passes_on: dict[str, Any] = {"__name__": "xdist.plugin", "os": os}
    exec("def ask(): return os.environ.get('PYTEST_XDIST_WORKER')", passes_on)
    namespace: dict[str, Any] = {"__name__": "settings", "ask": passes_on["ask"]}
    exec(compile("ask()", "/there/settings.py", "exec"), namespace)
    assert read_by(wire).file == "/there/settings.py"


# --- before and afterwards ---


def test_nobody_is_noted_before_and_after_it_is_laid() -> None:
    os.environ[_VARIABLE] = "gw0"
    wire = Tripwire()
    run_code("os.getenv('PYTEST_XDIST_WORKER')")
    assert wire.first is None
    wire.lay()
    wire.cut()
    run_code("os.getenv('PYTEST_XDIST_WORKER')")
    assert wire.first is None


@pytest.mark.parametrize("times", [1, 2])
def test_afterwards_the_dictionary_is_the_one_of_before_with_what_was_written_meanwhile(times: int) -> None:
    data: dict[Any, Any] = os.environ._data  # type: ignore[attr-defined]
    wire = Tripwire()
    for _ in range(times):
        wire.lay()
    os.environ["WRITTEN"] = "meanwhile"
    os.environb[b"BYTES"] = b"meanwhile"
    os.environ.pop("PATH")
    seen = os.environ.copy()
    for _ in range(times):
        wire.cut()
    assert os.environ._data is os.environb._data is data  # type: ignore[attr-defined]
    assert type(data) is dict
    assert dict(os.environ) == seen
    assert os.environ["WRITTEN"] == os.environ["BYTES"] == "meanwhile"
    assert "PATH" not in os.environ


def test_it_can_be_laid_again_and_knows_nothing_then() -> None:
    wire = Tripwire()
    wire.lay()
    run_code("os.getenv('PYTEST_XDIST_WORKER')", "/there/one.py")
    wire.cut()
    assert read_by(wire).file == "/there/one.py"
    wire.lay()
    assert wire.first is None
    run_code("os.getenv('PYTEST_XDIST_WORKER')", "/there/two.py")
    wire.cut()
    assert read_by(wire).file == "/there/two.py"


def test_it_leaves_alone_what_somebody_else_has_put_there(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Tripwire()
    wire.lay()
    other: dict[Any, Any] = {}
    with monkeypatch.context() as patch:
        patch.setattr(os.environ, "_data", other)
        wire.cut()
        assert os.environ._data is other  # type: ignore[attr-defined]
    wire.lay()  # puts it back for the fixture
    os.environ._data = os.environb._data = wire._original  # type: ignore[attr-defined]


def test_what_a_started_program_is_given_is_unchanged(wire: Tripwire) -> None:
    os.environ["WRITTEN"] = "meanwhile"
    code = f"import os; print(os.environ['WRITTEN'], os.environ['{_VARIABLE}'])"
    said = subprocess.run([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    assert said.stdout.split() == ["meanwhile", "gw0"]


# --- copies of the environment ---

#: Ways to copy it all.
ALL = [
    "dict(os.environ)",
    "{**os.environ}",
    "os.environ.copy()",
    "{name.lower(): value for name, value in os.environ.items()}",
    "{name: value for name, value in os.environ.items() if name.startswith('PYTEST_')}",
    "{name: os.environ[name] for name in os.environ}",
    "{'A': 'b'} | os.environ",
    "{os.fsdecode(name): os.fsdecode(value) for name, value in os.environb.items()}",
]


def import_file(path: Path, text: str, **known: Any) -> dict[str, Any]:
    """Run a file as an import would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"import os\n{text}\n")
    namespace: dict[str, Any] = {"__name__": path.stem, **known}
    import_code(compile(path.read_text(), str(path), "exec"), namespace)
    return namespace


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("copied", ALL)
def test_a_copy_by_a_file_that_looks_the_identity_up_in_it_is_noted(
    wire: Tripwire, tmp_path: Path, copied: str, there: bool
) -> None:
    if not there:  # as while initial conftests are imported
        del os.environ[_VARIABLE]
    file = tmp_path / "settings.py"
    import_file(file, f"SETTINGS = {copied}\nWORKER = SETTINGS.get('{_VARIABLE}', 'main')")
    read = read_by(wire)
    assert (read.file, read.line) == (str(file), 2)
    assert read.what == f"{_VARIABLE} from a copy of os.environ"


@pytest.mark.parametrize("copied", ALL)
def test_a_copy_by_a_file_that_does_not_is_not(wire: Tripwire, tmp_path: Path, copied: str) -> None:
    import_file(tmp_path / "settings.py", f"SETTINGS = {copied}\nWORKER = SETTINGS.get('OTHER', 'main')")
    import_file(
        tmp_path / "conftest.py",
        f"""
SETTINGS = {copied}
SETTINGS.pop("{_VARIABLE}", None)

def worker_id():
    return os.environ.get("{_VARIABLE}")
""",
    )
    assert wire.first is None


def test_a_copy_made_by_another_file_counts_for_the_one_that_has_asked_for_it(
    wire: Tripwire, tmp_path: Path
) -> None:
    library = tmp_path / "site-packages" / "library.py"
    load = import_file(library, "def load():\n    return dict(os.environ)")["load"]
    text = "SETTINGS = load()\nWORKER = SETTINGS.get('PYTEST_XDIST_WORKER')"
    import_file(tmp_path / "quiet.py", "SETTINGS = load()", load=load)
    assert wire.first is None
    file = tmp_path / "conftest.py"
    import_file(file, text, load=load)
    assert (read_by(wire).file, read_by(wire).line) == (str(file), 2)


def test_a_library_further_out_does_not_count(wire: Tripwire, tmp_path: Path) -> None:
    copies = import_file(tmp_path / "conftest.py", "def copies():\n    return dict(os.environ)")["copies"]
    text = "copies()\ndef later(settings):\n    return settings['PYTEST_XDIST_WORKER']"
    import_file(tmp_path / "site-packages" / "plugin.py", text, copies=copies)
    assert wire.first is None
    import_file(tmp_path / "project" / "plugin.py", text, copies=copies)
    assert read_by(wire).file == str(tmp_path / "project" / "plugin.py")


def test_a_file_that_is_vouched_for_may_look_it_up(wire: Tripwire, tmp_path: Path) -> None:
    import_file(tmp_path / "vouched.py", f"SETTINGS = dict(os.environ)\nSETTINGS.get('{_VARIABLE}')")
    assert wire.first is None


@pytest.mark.parametrize("content", [b"\xff\xfe PYTEST_XDIST_WORKER", b"PYTEST_XDIST_WORKER = (", None])
def test_a_source_that_cannot_be_read_looks_nothing_up(
    wire: Tripwire, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "settings.py"
    if content is not None:
        file.write_bytes(content)
    run_code("dict(os.environ)", str(file))
    assert wire.first is None


def test_who_reads_settings_for_others_is_not_the_one(wire: Tripwire) -> None:
    reads: dict[str, Any] = {"__name__": "decouple", "os": os}
    code = "def config(name): return os.environ[name]"
    exec(compile(code, "/there/site-packages/decouple.py", "exec"), reads)
    namespace: dict[str, Any] = {"__name__": "settings", "config": reads["config"]}
    exec(compile(f"config('{_VARIABLE}')", "/there/settings.py", "exec"), namespace)
    assert read_by(wire).file == "/there/settings.py"
