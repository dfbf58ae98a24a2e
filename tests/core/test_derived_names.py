"""Which names a source gives to what is worked out of a value, and which texts look worked out."""

from __future__ import annotations

import textwrap

import pytest

from pytest_procpar.core.evidence.derived_names import assigned_names, has_made_words, made_words

#: A source, in which a line with a call of `source` counts, and the names that get what comes of it.
SOURCES = {
    "a variable": ("a = source()\nb = 1", {"a"}),
    "a statement of several lines": ("a = f(\n  0,\n  source(),\n)\nb = f(\n  1)", {"a"}),
    "an annotation": ("a: str = f(source())", {"a"}),
    "several targets": ("a = b, self.c = f(source())", {"a", "b", "c"}),
    "a walrus": ("print(a := source())", {"a"}),
    "another variable": ("h = source()\nif h:\n    a = f(h)\nb = 1", {"h", "a"}),
    "an attribute of it": ("a = source()\nb = a.name.lower()\nc = d.name", {"a", "b"}),
    "a function": ("def f():\n    return source()\na = f() + 'x'\nb = g()", {"f", "a"}),
    "a variable of a function": (
        "def f():\n    x = source()\n    return h(x)\na = f()",
        {"f", "x", "a"},
    ),
    "another one's variable": ("def f():\n    x = source()\ndef g(x):\n    y = x\n    return y", {"x"}),
    "a method": (
        "class A:\n    def make(self):\n        return source()\n"
        "    def use(self):\n        self.b = self.make()",
        {"make", "b"},
    ),
    "a global": ("def f():\n    global a\n    a = source()\nb = f'{a}'", {"a", "b"}),
    "a default": ("def f(a=source(), *, b=2):\n    return 1\nc = f()", {"a", "b"}),
    "a keyword": ("configure(a=source())\nb = source", {"a"}),
    "a key": ("c = {'a': source()}\nd['b'] = c\ne = d['b']", {"a", "b", "c"}),
    "the name of a variable": ("os.environ.setdefault('A', source())", {"A"}),
    "a comparison": ("if source() == 1:\n    a = 2", set()),
    "an import": ("import source\na = 1\nsource()", set()),
    "a source with errors": ("a = source(\n", set()),
}


@pytest.mark.parametrize("what", SOURCES)
def test_what_gets_what_is_made_in_a_line(what: str) -> None:
    source, names = SOURCES[what]
    lines = [number for number, line in enumerate(source.splitlines(), 1) if "source()" in line]
    assert assigned_names(textwrap.dedent(source), lines) == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("db_3f2a9c1b", ["3f2a9c1b"]),
        ("DB_3F2A", ["3F2A"]),
        ("0x1f3a", ["0x1f3a"]),
        ("q62b3 x62B3y", ["q62b3", "x62B3y"]),
        ("test-4242/x7", ["4242"]),
        ("kZ3xYq9LmA==", ["kZ3xYq9LmA"]),
        ("test_database", []),
        ("x86_64-linux-gnu", []),
        ("/usr/lib/python3.12/site-packages", []),
        ("utf8 base64 sha2", []),
        ("several lines\n3f2a9c1b", []),
        ("3f2a9c1b " * 40, []),
    ],
)
def test_words_that_nobody_has_written(text: str, words: list[str]) -> None:
    assert made_words(text) == words


@pytest.mark.parametrize(
    ("text", "has"), [("test[a-1]\n" * 99, False), ("test[a-1]\n" * 99 + "x3f2a9c1b", True)]
)
def test_a_text_of_any_length_is_looked_at_for_such_words(text: str, has: bool) -> None:
    assert has_made_words(text) == has
