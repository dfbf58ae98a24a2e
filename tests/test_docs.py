"""The documentation names what there is, and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

import pytest_procpar
from pytest_procpar.start_method.threads.native_libraries import NATIVE_LIBRARIES

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(pytest_procpar.__file__).parent
OPTIONS = ROOT / "docs" / "options.md"
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("[!.]*/README.md")]


def documented() -> set[str]:
    """What has a heading of its own in the page on options, without arguments."""
    lines = OPTIONS.read_text(encoding="utf-8").splitlines()
    heads = [line for line in lines if line.startswith("### `")]
    return {re.split(r"[ =(]", word)[0] for line in heads for word in re.findall(r"`([^`]+)`", line)}


def trees() -> Iterator[ast.Module]:
    """The syntax trees of the package."""
    for path in PACKAGE.rglob("*.py"):
        yield ast.parse(path.read_text(encoding="utf-8"))


def calls(*names: str) -> Iterator[list[str]]:
    """The literal strings among the positional arguments of every call of a function named so."""
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                if name in names:
                    yield [str(a.value) for a in node.args if isinstance(a, ast.Constant)]


def functions() -> Iterator[ast.FunctionDef]:
    """All functions of the package."""
    for tree in trees():
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def decorated(function: ast.FunctionDef, word: str) -> bool:
    """Whether a decorator contains the word."""
    return any(word in ast.unparse(decorator) for decorator in function.decorator_list)


def specified() -> set[str]:
    """The hooks that the package specifies."""
    ours = ast.parse((PACKAGE / "hookspecs.py").read_text(encoding="utf-8"))
    names = {node.name for node in ours.body if isinstance(node, ast.FunctionDef)}
    return names | {function.name for function in functions() if decorated(function, "hookspec")}


def test_every_option_has_its_heading_and_every_heading_its_option() -> None:
    defined = {word for words in calls("addoption", "add_short_option") for word in words if word[:1] == "-"}
    assert "-n" in defined
    assert {name for name in documented() if name.startswith("-")} == defined


def test_every_ini_value_has_its_heading_and_every_heading_its_ini_value() -> None:
    defined = {words[0] for words in calls("addini")}
    assert {name for name in documented() if name.startswith("procpar_")} == defined


def test_every_hook_has_its_heading_and_every_heading_its_hook() -> None:
    defined = specified()
    assert "pytest_procpar_worker_forked" in defined
    assert {name for name in documented() if name.startswith("pytest_")} == defined


def test_every_fixture_and_every_marker_has_its_heading() -> None:
    fixtures = {function.name for function in functions() if decorated(function, "fixture")}
    markers = {re.split(r"[(:]", words[1])[0] for words in calls("addinivalue_line") if words[0] == "markers"}
    assert {name for name in documented() if re.match(r"[a-z]", name)} == (
        fixtures | markers | specified() | {words[0] for words in calls("addini")}
    )


def test_every_environment_variable_has_its_heading_and_every_heading_its_variable() -> None:
    pattern = re.compile(r"(?:PYTEST_XDIST|PYTEST_PROCPAR|PYTHON_CPU)_[A-Z_]+")
    constants = (node for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Constant))
    named = {
        node.value for node in constants if isinstance(node.value, str) and pattern.fullmatch(node.value)
    }
    assert {name for name in documented() if name.isupper()} == named


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings have where it is shown."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            path = (page.parent / name) if name else page
            assert path.exists(), target
            assert not anchor or anchor in anchors(path), target


def test_the_package_index_shows_the_readme_with_links_that_lead_out_of_a_checkout() -> None:
    shown = distribution("pytest-procpar").read_text("METADATA")
    links = re.findall(r"\]\(([^)]+)\)", str(shown))
    assert any(link.endswith("docs/options.md") for link in links)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


@pytest.mark.parametrize("command", [".ci/example", ".ci/test"])
def test_commands_of_the_readme_exist_and_can_be_started(command: str) -> None:
    assert f"`{command}`" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / command).stat().st_mode & 0o111


def test_the_table_of_native_libraries_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "start-methods.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("| library | recognised by its file |")
    shown = rest.partition("\n\n")[0].splitlines()[2:]
    rows = []
    for library in NATIVE_LIBRARIES:
        marks = [f"`{pattern}`" for pattern in library.files]
        marks += [f"threads `{library.threads}`"] if library.threads != "*" else []
        marks[-1] += f" beside `{library.beside}`" if library.beside else ""
        verdict = f"{'yes' if library.survives else 'no'}: {library.note}"
        rows.append(f"| {library.name} | {', '.join(marks)} | {verdict} | {library.tried} |")
    assert shown == rows


def test_pre_commit_runs_the_linters_that_ci_runs() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pinned = set(re.findall(r"(?:ruff|import-linter)==[\d.]+", hooks))
    assert pinned == set(re.findall(r"(?:ruff|import-linter)==[\d.]+", project))
