"""What is read from collected items about fixtures of module and class scope."""

from __future__ import annotations

import pytest

from pytest_procpar.compat.pytest_private.wide_fixtures import shared_by
from pytest_procpar.core.run.sharing.wide_fixtures import NOTHING, WideFixtures


@pytest.fixture(autouse=True)
def _only_pytests_own_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Suites are configured in this process: plugins would leave threads and sockets behind."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def read(pytester: pytest.Pytester, source: str) -> tuple[list[str], WideFixtures | None]:
    """The tests of a module, and what they share."""
    items = pytester.getitems(source)
    data = shared_by(items)
    return [item.name for item in items], None if data is None else WideFixtures.of(data)


def used(pytester: pytest.Pytester, source: str) -> dict[str, list[str]]:
    """The labels of the fixtures that each test needs, without the module's name."""
    names, wide = read(pytester, source)
    assert wide is not None
    return {
        name: [wide.labels[fixture].partition(".py::")[2] for fixture in wide.uses[use][1]]
        for name, use in zip(names, wide.use_of, strict=True)
    }


@pytest.mark.parametrize(
    "source",
    [
        "def test(): pass",
        "def test(tmp_path, tmp_path_factory): pass",
        """
        import pytest
        @pytest.fixture(scope="session")
        def one(): pass
        @pytest.fixture
        def two(one): pass
        def test(two): pass
        """,
        """
        import unittest
        class TestIt(unittest.TestCase):
            def setUp(self): pass
            def test(self): pass
        """,
        """
        import pytest
        @pytest.fixture(scope="class")
        def shared(): pass
        def test_without_a_class(shared): pass
        """,
        """
        import pytest
        @pytest.fixture(scope="module")
        def value(): pass
        @pytest.mark.parametrize("value", [1, 2])
        def test(value): pass
        """,
    ],
    ids=["nothing", "session", "function", "unittest", "class scope", "parametrized away"],
)
def test_where_nothing_is_shared_nothing_is_said(pytester: pytest.Pytester, source: str) -> None:
    assert read(pytester, source)[1] is None


def test_fixtures_of_the_whole_closure_count_with_the_homes_that_they_belong_to(
    pytester: pytest.Pytester,
) -> None:
    names, wide = read(
        pytester,
        """
        import pytest
        @pytest.fixture(scope="module")
        def database(): pass
        @pytest.fixture
        def rows(database): pass
        def test_alone(): pass
        class TestIt:
            @pytest.fixture(scope="class", autouse=True)
            def page(self): pass
            def test_page(self): pass
            def test_rows(self, rows): pass
        """,
    )
    assert names == ["test_alone", "test_page", "test_rows"]
    assert wide is not None
    assert sorted(wide.names) == ["database", "page"]
    database, page = wide.names.index("database"), wide.names.index("page")
    module, cls = wide.homes[database], wide.homes[page]
    alone, of_page, of_rows = (wide.uses[use] for use in wide.use_of)
    assert alone == ((module,), ())
    assert of_page == ((module, cls), (page,))
    assert (of_rows[0], {*of_rows[1]}) == ((module, cls), {page, database})
    assert wide.uses[0] == NOTHING


def test_set_up_functions_of_all_kinds_have_names_that_do_not_change(pytester: pytest.Pytester) -> None:
    assert used(
        pytester,
        """
        import unittest
        def setup_module(): pass
        class TestOld:
            @classmethod
            def setup_class(cls): pass
            def test_old(self): pass
        class TestUnit(unittest.TestCase):
            @classmethod
            def setUpClass(cls): pass
            def test_unit(self): pass
        class TestEnd(unittest.TestCase):
            @classmethod
            def tearDownClass(cls): pass
            def test_end(self): pass
        class TestPlain(unittest.TestCase):
            def test_plain(self): pass
        """,
    ) == {
        "test_old": ["setup_module", "TestOld::setup_class"],
        "test_unit": ["setup_module", "TestUnit::setUpClass"],
        "test_end": ["setup_module", "TestEnd::setUpClass"],
        "test_plain": ["setup_module"],
    }


def test_each_parameter_is_a_fixture_of_its_own(pytester: pytest.Pytester) -> None:
    assert used(
        pytester,
        """
        import pytest
        @pytest.fixture(scope="module", params="ab")
        def letter(request): pass
        def test(letter): pass
        """,
    ) == {"test[a]": ["letter[0]"], "test[b]": ["letter[1]"]}


def test_items_that_are_no_functions_need_nothing(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
        import pytest
        class Item(pytest.Item):
            def runtest(self): pass
        class File(pytest.File):
            def collect(self): yield Item.from_parent(self, name="it")
        def pytest_collect_file(file_path, parent):
            if file_path.suffix == ".it":
                return File.from_parent(parent, path=file_path)
    """)
    pytester.makefile(".it", a="")
    items, _ = pytester.inline_genitems(pytester.path)
    assert [item.name for item in items] == ["it"]
    assert shared_by(items) is None
