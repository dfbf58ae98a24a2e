"""The documentation names what there is, and nothing else."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import distribution
from itertools import pairwise
from pathlib import Path

import pytest

import pytest_procpar
from pytest_procpar.start_method.threads.native_libraries import NATIVE_LIBRARIES

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(pytest_procpar.__file__).parent
OPTIONS = ROOT / "docs" / "options.md"

#: What stands for what differs from run to run, in the pages and in a text of the code.
GAP = "…"

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("[!.]*/README.md")]


def documented() -> set[str]:
    """What has a heading of its own in the page on options, without arguments."""
    lines = OPTIONS.read_text(encoding="utf-8").splitlines()
    heads = [line for line in lines if line.startswith("### `")]
    return {re.split(r"[ =(]", word)[0] for line in heads for word in re.findall(r"`([^`]+)`", line)}


@cache
def trees() -> Mapping[Path, ast.Module]:
    """The syntax trees of the package, by file."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}


def calls(*names: str) -> Iterator[list[str]]:
    """The literal strings among the positional arguments of every call of a function named so."""
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                if name in names:
                    yield [str(a.value) for a in node.args if isinstance(a, ast.Constant)]


def functions() -> Iterator[ast.FunctionDef]:
    """All functions of the package."""
    for tree in trees().values():
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
    pattern = re.compile(r"(?:PYTEST_XDIST|PYTEST_PROCPAR|PYTHON_CPU|PROCPAR_HOST|XDG)_[A-Z_]+")
    constants = (
        node for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.Constant)
    )
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


def test_the_navigation_of_the_site_has_every_page_once() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert sorted(re.findall(r"\S+\.md", navigation)) == sorted(pages)


def test_lists_have_an_empty_line_before_them_else_the_site_shows_none() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for before, after in pairwise(text.splitlines()):
            begins_one = re.match(r"(- |\* |1\. )\S", after) and not re.match(r"(- |\* |\d+\. |  |$)", before)
            assert not begins_one, f"{page.name}: {after}"


def test_words_that_the_glossary_replaces_do_not_come_back() -> None:
    glossary = ROOT / "docs" / "glossary.md"
    table = (
        glossary.read_text(encoding="utf-8").partition("| use | not |\n|---|---|\n")[2].partition("\n\n")[0]
    )
    refused = [word for row in table.splitlines() for word in row.split("|")[2].strip().split(", ")]
    assert "check-point" in refused
    # Tables that are generated have other people's words.
    others = {glossary, *(ROOT / "docs" / name for name in ("benchmarks.md", "compatibility.md"))}
    found = [
        (page.name, word)
        for page in sorted({*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"} - others)
        for word in refused
        if re.search(
            rf"(?<![\w-]){re.escape(word)}(?![\w-])", page.read_text(encoding="utf-8"), re.IGNORECASE
        )
    ]
    assert found == []


def ratios_of(text: str, *columns: int) -> dict[str, list[float]]:
    """Of each row of a table, the numbers with which these columns begin, by the runner that it is about."""
    lines = [line for line in text.splitlines() if "|" in line]
    rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in lines]
    return {
        re.sub(r"^pytest-| [\d.]+$", "", row[0]): [float(row[at].split()[0]) for at in columns]
        for row in rows
        if re.match(r"\d", row[-1])
    }


def test_the_readme_tells_the_figures_of_the_benchmarks_and_their_date() -> None:
    measured = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    told = (ROOT / "README.md").read_text(encoding="utf-8").partition("What 10,000 trivial tests take")[2]
    case = measured.partition("### 10,000 trivial tests")[2].partition("\n### ")[0]
    found = ratios_of(told.partition("\n## ")[0], 1, 2)
    assert found["procpar"]
    assert found == ratios_of(case, 1, 3)
    assert re.findall(r"on ([\d-]{10})", told)[:1] == re.findall(r"^- date: (\S+)", measured, re.MULTILINE)


def test_each_exit_code_of_pytest_has_its_part_of_the_page() -> None:
    page = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    # Older versions of pytest have no 6.
    assert {str(int(code)) for code in pytest.ExitCode} <= set(re.findall(r"^## (\d)$", page, re.MULTILINE))


# --- docs/tutorial.md ---


def pattern_of(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, line.rstrip().split(GAP))))


def test_the_tutorial_works_word_for_word(tmp_path: Path) -> None:
    """Each file is written and each command run, and the lines of its output are there, in their order."""
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r'^```(?:\w+ title="([^"]+)"|console)\n(.*?)^```', page, re.DOTALL | re.MULTILINE)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV"))}
    environ |= {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "80", "PYTEST_PLUGINS": ""}
    environ.pop("CI", None)
    commands = 0
    for name, text in blocks:
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
            continue
        command, *shown = text.splitlines()
        program, *words = shlex.split(command.removeprefix("$ "))
        assert program == "pytest"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words], cwd=tmp_path, env=environ, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        rest = iter(done.stdout.splitlines())
        for line in filter(str.strip, shown):
            assert any(pattern_of(line).match(told) for told in rest), f"{command}: {line}\n{done.stdout}"
        commands += 1
    assert commands > 5


# --- docs/messages.md ---

#: Who is called with the text of an error or a warning that a user reads.
TELLERS = {
    "UsageError", "ArgumentTypeError", "OrderError", "_Unusable", "set_aside", "tell_warning", "bug",
    "broken_by", "remember", "notice", "GiveUp", "NotRun",
}  # fmt: skip


def told_in(node: ast.AST) -> list[str]:
    """The texts in an expression, with gaps where values are put in."""
    if isinstance(node, ast.JoinedStr):
        parts = [str(v.value) if isinstance(v, ast.Constant) else GAP for v in node.values]
        return ["".join(parts)]
    if isinstance(node, ast.Constant):
        return [node.value.replace("{}", GAP)] if isinstance(node.value, str) else []
    return [text for child in ast.iter_child_nodes(node) for text in told_in(child)]


def squeezed(text: str) -> str:
    return " ".join(text.split())


def messages_of_the_page() -> list[str]:
    page = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    boxes = re.findall(r"^```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    in_tables = re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)
    return [squeezed(message) for message in [*boxes, *in_tables]]


def fragments(text: str, least: int) -> list[str]:
    """What a text says between its gaps, where that is so many words at least."""
    return [piece.strip() for piece in squeezed(text).split(GAP) if len(piece.split()) >= least]


def messages_of_the_code() -> Iterator[tuple[str, str]]:
    """Every text of an error or warning, and the module that has it.

    A text that is made before the call is found where the function assigns it.
    """
    for path, tree in trees().items():
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            assigned: dict[str, list[str]] = {}
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    assigned.setdefault(node.targets[0].id, []).extend(told_in(node.value))
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    called = node.func
                    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                    if name == "write" and ast.unparse(called) == "sys.stderr.write":
                        name = "bug"
                    # What is remembered in pytest's cache has the same verb, and more arguments.
                    if name in TELLERS and (name != "remember" or len(node.args) == 1):
                        for argument in node.args:
                            texts = assigned.get(argument.id, []) if isinstance(argument, ast.Name) else []
                            for text in [*texts, *told_in(argument)]:
                                yield path.name, text


def test_each_message_of_the_page_occurs_in_the_code() -> None:
    texts = "\n".join({squeezed(text) for tree in trees().values() for text in told_in(tree)})
    wanted = [piece for message in messages_of_the_page() for piece in fragments(message, 1)]
    assert len(wanted) > 150
    assert [piece for piece in wanted if not is_made_of(piece, texts)] == []


def is_made_of(piece: str, texts: str) -> bool:
    """Whether a text is put together from few parts that occur in these texts: two, or one for six words."""
    for _ in range(1 + max(1, len(piece.split()) // 6)):
        # The longest beginning that occurs: if one does, so do all that are shorter.
        size = bisect_left(range(1, len(piece) + 1), True, key=lambda n: piece[:n] not in texts)
        piece = piece[size:].lstrip()
        if not re.search(r"\w", piece):
            return True
    return False


def test_each_error_and_warning_of_the_code_has_its_entry_in_the_page() -> None:
    page = "\n".join(messages_of_the_page())
    texts = list(messages_of_the_code())
    pieces = [(where, piece) for where, text in texts for piece in fragments(text, 3)]
    assert len(pieces) > 60
    assert [told for told in pieces if told[1] not in page] == []


def test_pre_commit_runs_the_linters_that_ci_runs() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pinned = set(re.findall(r"(?:ruff|import-linter)==[\d.]+", hooks))
    assert pinned == set(re.findall(r"(?:ruff|import-linter)==[\d.]+", project))
