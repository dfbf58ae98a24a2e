"""Suites made at random: the same seed always gives the same files.

Every fixture notes its set-ups and teardowns, with a number of its own in that process, and every test
notes that it ran and which fixtures it used.
"""

from __future__ import annotations

import random

__all__ = ["PARAMETRIZED", "make_suite"]

#: What the names of fixtures end with that are set up once a parameter, theirs or one below them.
PARAMETRIZED = "_by_parameter"

_HEAD = """\
import itertools
import unittest
import warnings

import pytest
from recorder import note

_numbers = itertools.count()

def up(name, scope):
    number = next(_numbers)
    note("setup", name=name, scope=scope, number=number, module=__name__)
    return number

def down(name, scope, number):
    note("teardown", name=name, scope=scope, number=number, module=__name__)
"""

_SCOPES = ("session", "package", "module", "class", "function")


class _Maker:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._lines: list[str] = []
        self._count = 0

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    # --- fixtures ---

    def fixture(self, scope: str, others: list[str], *, indent: str = "", method: bool = False) -> str:
        """A fixture that may use others, be autouse or parametrized, and fail on its way up or down."""
        name = self.name(f"{scope[0]}_")
        marks = [f'scope="{scope}"']
        used = self._random.sample(others, min(len(others), self._random.randint(0, 2)))
        if self.chance(0.2):
            marks.append("autouse=True")
        if self.chance(0.15):
            name += PARAMETRIZED
            marks.append("params=[1, 2]")
            used = [*used, "request"]
        elif any(other.endswith(PARAMETRIZED) for other in used):
            name += PARAMETRIZED
        arguments = ", ".join(["self", *used] if method else used)
        self._lines += [f"{indent}@pytest.fixture({', '.join(marks)})", f"{indent}def {name}({arguments}):"]
        body = [f'number = up("{name}", "{scope}")']
        broken_setup, broken_teardown = self.chance(0.06), self.chance(0.06)
        body.append("try:")
        if broken_setup:
            body.append(f'    raise ValueError("setup of {name}")')
        body += ["    yield number", "finally:", f'    down("{name}", "{scope}", number)']
        if broken_teardown and not broken_setup:
            body.append(f'raise ValueError("teardown of {name}")')
        self._lines += [f"{indent}    {line}" for line in body]
        self._lines.append("")
        return name

    # --- tests ---

    def marks(self) -> list[str]:
        choice = self._random.random()
        if choice < 0.08:
            return ['@pytest.mark.skip(reason="told to")']
        if choice < 0.16:
            return ['@pytest.mark.xfail(reason="known")']
        if choice < 0.24:
            return ['@pytest.mark.xfail(strict=True, reason="surely")']
        if choice < 0.28:
            return ['@pytest.mark.skipif(True, reason="as it is")']
        return []

    def body(self) -> str:
        return self._random.choices(
            [
                "pass",
                'assert 0, "fails"',
                'raise RuntimeError("raises")',
                'pytest.skip("skips itself")',
                'pytest.xfail("xfails itself")',
                'warnings.warn("warns")',
                'print("prints")',
            ],
            [12, 2, 1, 1, 1, 1, 1],
        )[0]

    def test(self, fixtures: list[str], *, indent: str = "", method: bool = False) -> None:
        name = self.name("test_")
        arguments = self._random.sample(fixtures, min(len(fixtures), self._random.randint(0, 3)))
        lines = self.marks()
        if self.chance(0.2):
            values = self._random.choice(["[1, 2, 3]", '["a::b", "c/d", "e[f]"]', "range(4)", "[]"])
            lines.append(f'@pytest.mark.parametrize("value", {values})')
            arguments = [*arguments, "value"]
        lines.append(f"def {name}({', '.join(['self', *arguments] if method else arguments)}):")
        lines += [f'    note("ran", test="{name}")', f"    {self.body()}", ""]
        self._lines += [f"{indent}{line}" for line in lines]

    def test_class(self, fixtures: list[str]) -> None:
        self._lines.append(f"class {self.name('Test')}:")
        own = [
            self.fixture(scope, fixtures, indent="    ", method=True)
            for scope in self._random.choices(("class", "function"), k=self._random.randint(0, 2))
        ]
        for _ in range(self._random.randint(1, 4)):
            self.test(fixtures + own, indent="    ", method=True)

    def unittest_class(self) -> None:
        name = self.name("Case")
        self._lines += [f"class {name}(unittest.TestCase):"]
        if self.chance(0.7):
            self._lines += [
                "    @classmethod",
                "    def setUpClass(cls):",
                f'        cls.number = up("{name}", "class")',
                *(["        raise ValueError('setUpClass')"] if self.chance(0.1) else []),
                "    @classmethod",
                "    def tearDownClass(cls):",
                f'        down("{name}", "class", cls.number)',
            ]
        for _ in range(self._random.randint(1, 4)):
            body = self._random.choice(
                ["pass", "self.fail()", 'self.skipTest("skips")', "self.assertTrue(1)", "1 / 0"]
            )
            decorators = ["    @unittest.expectedFailure"] if self.chance(0.2) else []
            test = self.name("test_")
            self._lines += [*decorators, f"    def {test}(self):", f'        note("ran", test="{test}")']
            self._lines += [f"        {body}", ""]

    # --- files ---

    def module(self, shared: list[str]) -> str:
        self._lines = [_HEAD]
        if self.chance(0.05):
            self._lines.append('pytest.skip("the whole module", allow_module_level=True)')
        fixtures = list(shared)
        for scope in ("module", "class", "function"):
            if self.chance(0.6):
                fixtures.append(self.fixture(scope, [f for f in fixtures if not f.startswith("f_")]))
        if self.chance(0.3):
            self._lines += [
                "def setup_module():",
                '    setup_module.number = up("xunit", "module")',
                "def teardown_module():",
                '    down("xunit", "module", setup_module.number)',
                "",
            ]
        for _ in range(self._random.randint(1, 4)):
            kind = self._random.random()
            if kind < 0.55:
                self.test(fixtures)
            elif kind < 0.85:
                self.test_class(fixtures)
            else:
                self.unittest_class()
        return "\n".join(self._lines)

    def conftest(self, shared: list[str], scopes: tuple[str, ...]) -> tuple[str, list[str]]:
        self._lines = [_HEAD]
        made = list(shared)
        for scope in scopes:
            if self.chance(0.7):
                reach = _SCOPES[: _SCOPES.index(scope) + 1]
                made.append(self.fixture(scope, [f for f in made if f[0] in {s[0] for s in reach}]))
        return "\n".join(self._lines), made


def make_suite(seed: int) -> dict[str, str]:
    """The files of a suite, by their path."""
    maker = _Maker(seed)
    text, shared = maker.conftest([], ("session", "session", "function"))
    files = {"conftest.py": text}
    for folder in ("", "sub", "sub/deep"):
        fixtures = shared
        if folder:
            files[f"{folder}/__init__.py"] = ""
            text, fixtures = maker.conftest(
                [f for f in shared if not f.startswith("f_")], ("package", "module", "function")
            )
            files[f"{folder}/conftest.py"] = text
        for _ in range(random.Random(seed + len(files)).randint(1, 3)):
            name = maker.name("test_m")
            files[f"{folder}/{name}.py" if folder else f"{name}.py"] = maker.module(fixtures)
    return files
