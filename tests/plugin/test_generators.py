"""Random numbers in workers: those of a seed if the project has set one, and each worker's own if not."""

from __future__ import annotations

import pytest

from tests.conftest import Suite

each_method = pytest.mark.parametrize("method", ["fork", "fork-early", "spawn"])

#: Notes what each worker draws first.
DRAW = """
    import random
    import pytest
    from recorder import note

    @pytest.fixture(scope="session", autouse=True)
    def drawn():
        note("drawn", numbers=[random.random() for _ in range(3)])

    @pytest.mark.parametrize("i", range(4))
    def test(i):
        pass
"""


def drawn(suite: Suite, *options: str) -> list[list[float]]:
    finished = suite.run(*options)
    finished.assert_summary(passed=4)
    return finished.facts("drawn", "numbers")


@each_method
@pytest.mark.parametrize(
    ("where", "seed"),
    [
        ("conftest.py", "random.seed(7)"),
        ("sub/conftest.py", "random.setstate(random.Random(7).getstate())"),
        ("sub/test_first.py", "from random import seed; seed('seven')"),
        ("configure", "random.seed(7)"),
    ],
)
def test_a_seed_of_the_project_is_that_of_each_worker(
    suite: Suite, method: str, where: str, seed: str
) -> None:
    suite.file("sub/test_second.py", DRAW)
    if where == "configure":
        suite.conftest(f"import random\ndef pytest_configure():\n    {seed}")
    else:
        suite.file(where, f"import random\n{seed}\nrandom.random()")
    (plain,) = drawn(suite, "-p", "no:procpar")
    assert drawn(suite, "-n2", f"--start-method={method}") == [plain, plain]


@pytest.mark.parametrize("count", [0, 1, 1000, 5000])
@each_method
def test_without_a_seed_each_worker_draws_numbers_of_its_own(suite: Suite, method: str, count: int) -> None:
    suite.conftest(f"import random\nfor _ in range({count}): random.random()")
    suite.tests(
        f"import random\nfor _ in range({count}): random.random()\n{DRAW.replace(chr(10) + '    ', chr(10))}"
    )
    first, second = drawn(suite, "-n2", f"--start-method={method}")
    assert not set(first) & set(second)


def test_isolated_tests_begin_with_the_seed_of_the_project(suite: Suite) -> None:
    suite.tests("""
        import random
        import pytest

        random.seed(7)
        EXPECTED = random.Random(7).random()

        @pytest.mark.parametrize("i", range(3))
        def test(i):
            assert random.random() == EXPECTED
    """)
    suite.run("-n2", "--isolate").assert_summary(passed=3)


# --- libraries, by fakes with what the adapters use; the real ones are in tests/cases ---

LIBRARY = """
    import random

    class Generator:
        _is_seeded = False

    random = random.Random()
"""
FACTORY = """
    import random

    randgen = random.Random()
    randgen.state_set = False
"""


@pytest.mark.parametrize("is_seeded", [False, True])
@pytest.mark.parametrize(
    ("module", "text", "name", "seed"),
    [
        ("faker.generator", LIBRARY, "random", "Generator._is_seeded = True"),
        ("factory.random", FACTORY, "randgen", "randgen.state_set = True"),
    ],
)
def test_shared_generators_of_libraries_are_seeded_anew_unless_the_project_has(
    suite: Suite, module: str, text: str, name: str, seed: str, is_seeded: bool
) -> None:
    package, _, inner = module.partition(".")
    suite.file(f"{package}/__init__.py", "")
    suite.file(f"{package}/{inner}.py", text)
    suite.tests(f"""
        import pytest
        import {module} as library
        from recorder import note

        {f"library.{seed}" if is_seeded else ""}

        @pytest.fixture(scope="session", autouse=True)
        def drawn():
            note("drawn", numbers=[library.{name}.random() for _ in range(3)])

        @pytest.mark.parametrize("i", range(4))
        def test(i):
            pass
    """)
    first, second = drawn(suite, "-n2", "--start-method=fork")
    assert (first == second) is is_seeded
