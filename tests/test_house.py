"""The house: every package is small and says what it holds, and the pages that describe it are true."""

from __future__ import annotations

import ast
import pkgutil
import re
import runpy
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from _pytest.config.argparsing import Parser

import pytest_procpar
from pytest_procpar.compat.pytest_private import tracebacks
from pytest_procpar.config.given import Given
from pytest_procpar.config.options import add_own_options, add_shared_options
from pytest_procpar.core.record import fields
from pytest_procpar.start_method import tripwire

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(pytest_procpar.__file__).parent
PACKAGES = sorted(file.parent for file in PACKAGE.rglob("__init__.py"))

#: Modules of a package, and lines of a module.
MOST_MODULES = 16
MOST_LINES = 330
#: Too long still, with the lines they have: each may only become shorter.
LONG = {
    "cluster/cluster.py": 380,
    "core/run/plugin_scheduling.py": 390,
    "core/run/run.py": 393,
    "worker/runner.py": 392,
}


@pytest.mark.parametrize(
    "package", PACKAGES, ids=lambda package: package.relative_to(PACKAGE.parent).as_posix()
)
def test_a_package_is_small_and_says_what_it_holds(package: Path) -> None:
    assert ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
    assert len([file for file in package.glob("*.py") if file.name != "__init__.py"]) <= MOST_MODULES


def test_modules_are_short() -> None:
    lines = {
        file.relative_to(PACKAGE).as_posix(): file.read_text(encoding="utf-8").count("\n")
        for file in PACKAGE.rglob("*.py")
    }
    long = {file: count for file, count in lines.items() if count > MOST_LINES}
    assert {file: count for file, count in long.items() if count > LONG.get(file, 0)} == {}
    assert sorted(LONG) == sorted(long), "what is short enough now is no exception any more"


#: What changes can be, in the order of Keep a Changelog.
KINDS_OF_CHANGES = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")

#: Who may read options and ini values: ours (the first two), those that pytest-xdist's contract wants told to
#: plugins, and those of pytest and of others.
READERS = ("config/given.py", "config/settings.py", "compat/xdist/options.py", "compat/foreign_options.py")
_ASK = ("getoption", "getini", "known_args_namespace", "inicfg")


def options_of(*add: Callable[[pytest.Parser], None]) -> set[str]:
    """The destinations of the options, and the names of the ini values, that these functions define."""
    parser = Parser(_ispytest=True)
    for one in add:
        one(parser)
    return {option.dest for group in parser._groups for option in group.options} | set(parser._inidict)


def words_of(file: str) -> set[str]:
    """The attributes and strings of a module, its docstrings apart."""
    nodes = list(ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {str(node.value) for node in nodes if isinstance(node, ast.Constant)}


def test_options_are_read_in_one_place() -> None:
    found = [
        f"{file}:{node.lineno} {ast.unparse(node)}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if file.relative_to(PACKAGE).as_posix() not in READERS
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        if node.attr in _ASK or (node.attr == "option" and ast.unparse(node.value).endswith("config"))
    ]
    assert found == []


def test_our_own_options_are_read_into_one_frozen_value() -> None:
    own, shared = options_of(add_own_options), options_of(add_shared_options)
    ini = {name for name in own | shared if name.startswith("procpar_") and name not in fields(Given)}
    assert own | shared == {*fields(Given), *ini}
    assert ini <= words_of("config/settings.py")
    assert not own & (words_of("compat/foreign_options.py") | words_of("compat/xdist/options.py"))
    assert not shared & words_of("compat/foreign_options.py")


#: Where `Any` is written, and how often: in each case something is done with a value whose type nobody knows.
#: Each may only become less.
ANY = {
    "compat/plugins/renewed_libraries.py": 2,
    "compat/pytest_private/command_line.py": 1,
    "compat/pytest_reports/early_failures.py": 2,
    "compat/pytest_reports/reports.py": 1,
    "config/given.py": 1,
    "fresh/rerun.py": 1,
    "ipc/journal.py": 1,
    "json_report/attempts.py": 2,
    "replay/file.py": 1,
    "start_method/names/held_values.py": 2,
    "start_method/names/name_sources.py": 5,
    "start_method/objects/held_processes.py": 2,
    "start_method/project/importers.py": 1,
    "start_method/project/watched_mappings.py": 4,
    "start_method/suspect_objects.py": 6,
    "state/namespaces.py": 2,
    "state/opaque_types.py": 1,
    "state/scan.py": 1,
    "system/frozen_heap.py": 3,
}


def test_any_is_written_only_where_a_type_is_truly_unknown() -> None:
    written = {
        file.relative_to(PACKAGE).as_posix(): _anys(ast.parse(file.read_text(encoding="utf-8")))
        for file in PACKAGE.rglob("*.py")
    }
    assert {file: count for file, count in written.items() if count > ANY.get(file, 0)} == {}
    assert {file: written.get(file, 0) for file in ANY} == ANY, "what is less now may not become more again"


def _anys(tree: ast.AST) -> int:
    """How often a tree names `Any`, also in types that are written as strings."""
    count = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            count += node.id == "Any"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "Any" in node.value:
            with suppress(SyntaxError):  # it is a text
                count += _anys(ast.parse(node.value, mode="eval"))
    return count


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("x: Any", 1),
        ("def f(a: dict[str, Any], *b: Any) -> Any: ...", 3),
        ('X: TypeAlias = "Callable[[Any], Any]"', 2),
        ('y = cast("list[Any]", z)', 1),
        ("from typing import Any", 0),
        ('"""Any text is fine, and so is Anything."""', 0),
    ],
)
def test_any_is_counted(source: str, count: int) -> None:
    assert _anys(ast.parse(source)) == count


#: Packages that know private parts of the standard library, or of coverage, each with the reason beside it.
_LOWER = ("compat", "coverage_data", "forking", "leaks", "start_method", "state", "system", "core")


def test_private_attributes_of_others_are_used_in_lower_packages_only() -> None:
    trees = {
        file.relative_to(PACKAGE): ast.parse(file.read_text(encoding="utf-8"))
        for file in PACKAGE.rglob("*.py")
    }
    ours = {
        getattr(node, "name", None) or getattr(node, "attr", None) or getattr(node, "id", None)
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        or (isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store))
    }
    used = [
        f"{file}:{node.lineno} {ast.unparse(node)}"
        for file, tree in trees.items()
        if file.parts[0] not in _LOWER
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        if node.attr not in ours
    ]
    assert used == []


def test_the_table_of_layers_is_that_of_the_contracts() -> None:
    layers = runpy.run_path(str(ROOT / "docs" / "layers.py"))
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert layers["with_table"](page, PACKAGE) == page, "python docs/layers.py writes it"


def test_the_changelog_has_a_place_for_what_is_not_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    _, *versions = re.split(r"^## ", text, flags=re.MULTILINE)
    assert versions[0].startswith("[Unreleased]\n")
    released = [version.partition("\n")[0] for version in versions[1:]]
    assert [head for head in released if not re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", head)] == []
    for version in versions:
        _, *parts = re.split(r"^### ", version, flags=re.MULTILINE)
        kinds = [part.partition("\n")[0] for part in parts]
        assert kinds == [kind for kind in KINDS_OF_CHANGES if kind in kinds], "each once, in this order"
        for part in parts:
            lines = part.splitlines()[1:]
            assert [line for line in lines if line and not line.startswith(("- ", "  "))] == []


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_modules_that_a_page_names_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+(?:\.py)?)(?:: [\w.]+)?`", text))
    tops = {path.stem for path in PACKAGE.iterdir()}
    for name in named:
        first = name.split("/")[0].removesuffix(".py")
        is_test = name.split("/")[-1].startswith("test_")
        if first in tops and not is_test and ("/" in name or name.endswith(".py")):
            path = PACKAGE / name.removesuffix(".py")
            assert path.is_dir() or path.with_suffix(".py").is_file(), name
    for module, attribute in re.findall(r"`([a-z_/]+(?:\.py)?): ([\w.]+)`", text):
        source = (PACKAGE / module.removesuffix(".py")).with_suffix(".py").read_text(encoding="utf-8")
        for part in attribute.split("."):
            assert re.search(rf"\b{part}\b", source), f"{module}: {attribute}"


def test_classes_that_the_glossary_names_are_there() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").partition("## Words of the code")[2]
    words = text.partition("\n## ")[0]
    source = "\n".join(file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py"))
    classes = set(re.findall(r"^(?:class _?)?([A-Z]\w+)(?=[:(])", source, re.MULTILINE))
    assert set(re.findall(r"`([A-Z][A-Za-z]+)`", words)) - classes == set()


def test_the_slow_tests_that_are_listed_are_there() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = page.partition("Slow tests are the exception")[2].partition("\n## ")[0]
    modules = set(re.findall(r"`(?:tests/)?((?:\w+/)*test_\w+\.py)`", listed))
    assert len(modules) > 10
    assert {module for module in modules if not (ROOT / "tests" / module).is_file()} == set()


def test_what_looks_at_files_knows_which_are_ours() -> None:
    """A module that moves to another depth of folders must not take those of its neighbours for ours."""
    assert Path(tripwire._OWN) == PACKAGE
    assert Path(tracebacks._PACKAGE) == PACKAGE


#: An import of ours within a text, such as the conftest of a test's suite.
IMPORT = re.compile(r"\bfrom (pytest_procpar[\w.]*) import ([\w, ]+)|\bimport (pytest_procpar[\w.]+)")


def imports_in_texts(source: str) -> set[str]:
    """Every name of ours that a text in a module's source imports, as `package.module.name`."""
    texts = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    found: set[str] = set()
    for module, names, whole in (match.groups() for text in texts for match in IMPORT.finditer(text)):
        if whole:
            found.add(whole)
        else:
            found |= {f"{module}.{name.split()[0]}" for name in names.split(",") if name.strip()}
    return found


def is_there(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_what_the_suites_of_tests_import_is_there() -> None:
    """Linters do not look into texts: a module that moves would be missed there until the test runs."""
    sources = [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    named = {
        name
        for path in sources
        if path != Path(__file__)
        for name in imports_in_texts(path.read_text(encoding="utf-8"))
    }
    assert sorted(name for name in named if not is_there(name)) == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('"""\n  from pytest_procpar.role import role_of, Role as R\n"""', {"role.role_of", "role.Role"}),
        ('"import pytest_procpar.run.deadlock; x"', {"run.deadlock"}),
        ('f"{1} from pytest_procpar import version"', {"version"}),
        ("from pytest_procpar.role import role_of", set()),
    ],
)
def test_imports_in_texts_are_seen(source: str, names: set[str]) -> None:
    assert imports_in_texts(source) == {f"pytest_procpar.{name}" for name in names}
