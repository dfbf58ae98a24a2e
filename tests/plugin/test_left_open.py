"""What tests have written to files that nobody closes is there after the run, and temporary files are not."""

from __future__ import annotations

import gzip

import pytest

from tests.conftest import Suite

LEAVES_FILES_OPEN = """
    import gzip
    import os
    import tempfile

    import pytest

    AT_IMPORT = open("at_import", "a")

    @pytest.fixture(scope="session")
    def of_session():
        return open(f"of_session-{os.getpid()}", "a")

    @pytest.mark.parametrize("i", range(6))
    def test_writes(i, of_session):
        AT_IMPORT.write(f"{i}\\n")
        of_session.write(f"{i}\\n")

    def test_compresses():
        global COMPRESSED
        COMPRESSED = gzip.open("compressed", "wt")
        COMPRESSED.write("all of it")

    def test_makes_a_temporary_file():
        global TEMPORARY
        TEMPORARY = tempfile.NamedTemporaryFile(prefix="temporary-", dir=".")
        assert os.path.exists(TEMPORARY.name)
"""


@pytest.mark.python_dependent
@pytest.mark.parametrize(
    "args",
    [
        ("-n2", "--start-method=fork"),
        ("-n2", "--start-method=fork-early"),
        ("-n2", "--start-method=spawn"),
        ("-n2", "--start-method=fork", "--isolate"),
        ("-n0", "--isolate"),
    ],
    ids="".join,
)
def test_files_that_are_left_open_end_as_in_a_plain_run(suite: Suite, args: tuple[str, ...]) -> None:
    suite.tests(LEAVES_FILES_OPEN)
    suite.run(*args).assert_summary(passed=8)
    assert sorted((suite.path / "at_import").read_text().split()) == list("012345")
    of_session = [path.read_text() for path in suite.path.glob("of_session-*")]
    assert sorted("".join(of_session).split()) == list("012345")
    assert gzip.decompress((suite.path / "compressed").read_bytes()) == b"all of it"
    assert not list(suite.path.glob("temporary-*"))


def test_a_temporary_file_of_the_collection_is_there_for_all_workers(suite: Suite) -> None:
    suite.tests("""
        import os
        import tempfile

        import pytest

        TEMPORARY = tempfile.NamedTemporaryFile(prefix="temporary-", dir=".")

        @pytest.mark.parametrize("i", range(20))
        def test_it_is_there(i):
            assert os.path.exists(TEMPORARY.name)
    """)
    suite.run("-n2", "--start-method=fork", "--max-tests-per-worker=1").assert_summary(passed=20)
    assert not list(suite.path.glob("temporary-*"))
