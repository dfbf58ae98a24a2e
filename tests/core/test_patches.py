"""A patch applies with the tools that people have, and the patched file is the old one and the block."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_procpar.core.recheck.patches import (
    applied,
    decorations,
    free_name,
    imported_by,
    insertion_into,
    unified_diff,
)

BLOCK = "@pytest.fixture(autouse=True)\ndef put_back():\n    yield\n"

STATEMENTS = st.sampled_from(
    [
        "import os\n",
        "import pytest\n",
        "from os import (\n    path,\n)\n",
        "import os; x = '''\n\n'''\n",
        "import os, \\\n    sys\n",
        "x = 1\n",
        "\n",
        "# a comment\n",
        "\x0c\n",
        "class Test:\n    import re\n    def test(self): pass\n",
        "def test():\n    import os\n",
        "if x:\n    import os\n",
        "@pytest.mark.x\ndef test_2(): pass\n",
        "x = '\u2028\x1c'\n",
        "try:\n    import a\nexcept ImportError:\n    a = None\n",
    ]
)
HEADS = st.sampled_from(
    [
        "",
        "#!/usr/bin/python\n# -*- coding: utf-8 -*-\n",
        '"""Tests."""\n',
        "from __future__ import annotations\n",
    ]
)


@st.composite
def sources(draw: st.DrawFn) -> str:
    source = draw(HEADS) + "".join(draw(st.lists(STATEMENTS, max_size=8)))
    if draw(st.booleans()):
        source = source.removesuffix("\n")
    return source.replace("\n", "\r\n") if draw(st.booleans()) else source


@pytest.fixture(scope="module", params=["git apply", "patch -p1 --binary"])
def tool(request: pytest.FixtureRequest) -> list[str]:
    words = str(request.param).split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"there is no {words[0]}")
    return words


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(source=sources(), name=st.sampled_from(["test_it.py", "my tests/tëst.py"]))
def test_a_diff_makes_of_the_file_what_was_said(
    tool: list[str], tmp_path_factory: pytest.TempPathFactory, source: str, name: str
) -> None:
    insertion = insertion_into(source, BLOCK)
    assert insertion is not None
    wanted = insertion.applied(source)
    folder = tmp_path_factory.mktemp("patched")
    file: Path = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(source.encode())
    diff = unified_diff(name, source, insertion)
    done = subprocess.run(tool, input=diff.encode(), cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, (diff, done.stdout, done.stderr)
    assert file.read_bytes().decode() == wanted


@settings(deadline=None, max_examples=50)
@given(source=sources())
def test_a_patched_file_has_all_that_it_had_and_the_block_after_pytest(source: str) -> None:
    insertion = insertion_into(source, BLOCK)
    assert insertion is not None
    wanted = insertion.applied(source)
    compile(wanted, "<patched>", "exec")
    old = [ast.dump(node) for node in ast.parse(source).body]
    body = ast.parse(wanted).body
    new = [ast.dump(node) for node in body]
    for dumped in old:
        new.remove(dumped)
    names = [getattr(node, "name", "") for node in body]
    at = names.index("put_back")
    before = [alias.name for node in body[:at] if isinstance(node, ast.Import) for alias in node.names]
    assert "pytest" in before
    assert len(new) == 1 + (ast.dump(ast.parse("import pytest").body[0]) in new)


DECORATED = """\
class Test:
    @pytest.mark.slow
    @pytest.mark.parametrize("x", [1])
    def test_method(self, x): pass

    class TestInner:
        async def test_inner(self): pass
"""
MARK = "pytest.mark.isolated"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    source=sources(),
    tail=st.sampled_from(["", "\n", "\nx = 1\n" * 5]),
    name=st.sampled_from(["Test.test_method", "Test.TestInner.test_inner", "Test.TestInner"]),
)
def test_a_decorated_test_has_one_decorator_more_and_the_file_is_otherwise_as_it_was(
    tool: list[str], tmp_path_factory: pytest.TempPathFactory, source: str, tail: str, name: str
) -> None:
    source = source.replace("class Test:", "class Other:").replace("\r\n", "\n")
    source = f"{source.rstrip()}\n{DECORATED.rstrip()}{tail}"
    insertions = decorations(source, [name], MARK)
    assert insertions is not None
    wanted = applied(source, *insertions)
    old, new = ast.parse(source), ast.parse(wanted)
    (node,) = [
        each for each in ast.walk(new) if getattr(each, "name", "") == name.rsplit(".", maxsplit=1)[-1]
    ]
    assert isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    assert ast.unparse(node.decorator_list.pop(0)) == MARK
    texts = [ast.dump(each) for each in new.body]
    at = texts.index(ast.dump(ast.parse("import pytest").body[0]))
    assert at < len(texts) - 1
    before = [ast.dump(each) for each in old.body]
    assert texts in (before, [*before[:at], texts[at], *before[at:]])
    folder = tmp_path_factory.mktemp("patched")
    (folder / "test_it.py").write_bytes(source.encode())
    diff = unified_diff("test_it.py", source, *insertions)
    done = subprocess.run(tool, input=diff.encode(), cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, (diff, done.stdout, done.stderr)
    assert (folder / "test_it.py").read_bytes().decode() == wanted


def test_a_mark_stands_above_the_other_decorators_and_pytest_below_the_docstring() -> None:
    source = '"""Tests."""\n\n\n@other\ndef test(): pass\n'
    insertions = decorations(source, ["test"], MARK)
    assert insertions is not None
    assert applied(source, *insertions) == (
        f'"""Tests."""\n\nimport pytest\n\n\n@{MARK}\n@other\ndef test(): pass\n'
    )


def test_several_tests_are_decorated_and_pytest_is_imported_once() -> None:
    source = "def test_1(): pass\ndef test_2(): pass\n"
    insertions = decorations(source, ["test_2", "test_1"], MARK)
    assert insertions is not None
    assert applied(source, *insertions) == (
        f"import pytest\n\n\n@{MARK}\ndef test_1(): pass\n@{MARK}\ndef test_2(): pass\n"
    )


@pytest.mark.parametrize(
    "source", ["def (", "x = 1", "def test(): pass\ndef test(): pass", "if x:\n    def test(): pass"]
)
def test_what_is_not_defined_once_at_the_top_is_not_decorated(source: str) -> None:
    assert decorations(source, ["test"], MARK) is None


def test_a_block_stands_below_the_imports() -> None:
    source = '"""Tests."""\nimport os\n\n\ndef test(): pass\n'
    insertion = insertion_into(source, BLOCK)
    assert insertion is not None
    assert insertion.applied(source) == (
        f'"""Tests."""\nimport os\nimport pytest\n\n\n{BLOCK}\n\ndef test(): pass\n'
    )


@pytest.mark.parametrize("source", ["def (", "import os\rx = 1\r", "x = '\0'"])
def test_what_is_no_python_is_not_patched(source: str) -> None:
    assert insertion_into(source, BLOCK) is None


def test_what_a_file_imports_by_its_name_is_known() -> None:
    assert imported_by("import os, a.b, c as d\nfrom e import f\ndef g():\n    import h\n") == {"os", "a.b"}
    assert imported_by("def (") == set()


def test_a_path_that_the_tools_would_not_read_has_no_diff() -> None:
    insertion = insertion_into("", BLOCK)
    assert insertion is not None
    assert unified_diff("a\nb.py", "", insertion) == ""


def test_a_name_is_free_if_the_file_does_not_use_it() -> None:
    assert free_name("x = 1", "put_back") == "put_back"
    assert free_name("def put_back(): pass", "put_back") == "put_back_2"
    assert free_name("put_back", "put_back", ["put_back_2"]) == "put_back_3"
