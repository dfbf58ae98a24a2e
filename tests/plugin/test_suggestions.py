"""Patches that the re-check suggests: they have been run, they help, and nobody has applied them."""

from __future__ import annotations

import subprocess

from tests.conftest import Suite
from tests.plugin.rechecking import rechecked, section, shell

LIB = """
    VALUE = 1
    class Registry:
        entries = {}
"""
TWO_FILES = {
    "test_shop.py": """
        import os
        import lib

        def test_polluter():
            os.environ["SHOP"] = "open"
        def test_victim(): assert "SHOP" not in os.environ
    """,
    "test_till.py": """
        from lib import Registry
        STATE = []
        def test_registers(): Registry.entries["till"] = 1
        def test_nothing_is_registered(): assert not Registry.entries
        def test_fills(): STATE.append(1)
        def test_empty(): assert not STATE
    """,
}
HELPS = "    tried: with this patch it passes, after that and after all that ran before it"


def test_a_patch_that_was_tried_makes_all_victims_pass_once_it_is_applied(suite: Suite) -> None:
    suite.file("lib.py", LIB)
    files = [suite.file(name, text) for name, text in TWO_FILES.items()]
    before = [file.read_bytes() for file in files]
    finished, findings = rechecked(suite, "-n1", "--recheck-budget=300", "--recheck-suggest=fix.patch")
    assert finished.ret == 1
    assert [finding["kind"] for finding in findings] == ["victim"] * 3
    assert section(finished).count(HELPS) == 3
    assert [file.read_bytes() for file in files] == before

    patch = suite.path / "fix.patch"
    assert patch.read_text() == "".join(finding["patch"] for finding in findings)
    subprocess.run(["git", "apply", patch], cwd=suite.path, check=True)
    assert shell(suite, "pytest -p no:cacheprovider test_shop.py test_till.py") == 0


def test_where_no_fixture_helps_a_mark_is_suggested_that_does(suite: Suite) -> None:
    # The session's fixture comes before all that a file of tests has.
    suite.file("lib.py", LIB)
    suite.conftest("""
        import lib, pytest

        @pytest.fixture(scope="session")
        def shop():
            lib.VALUE = 2
    """)
    suite.tests("""
        import lib
        class TestShop:
            def test_polluter(self, shop): pass
        def test_victim(): assert lib.VALUE == 1
    """)
    suite.file("test_more.py", "import lib\ndef test_victim(): assert lib.VALUE == 1\n")
    _, findings = rechecked(suite, "-n1", "--recheck-budget=300", "--recheck-suggest=fix.patch")
    assert {finding["kind"] for finding in findings} == {"victim"}
    patch = (suite.path / "fix.patch").read_text()
    assert "\n+    @pytest.mark.isolated\n     def test_polluter" in patch
    subprocess.run(["git", "apply", suite.path / "fix.patch"], cwd=suite.path, check=True)
    assert shell(suite, "pytest -p no:cacheprovider") == 0
    assert shell(suite, "pytest -p no:cacheprovider -n1") == 0


def test_a_patch_is_not_suggested_if_the_victim_fails_with_it(suite: Suite) -> None:
    # What is made when the file is imported has no place for a mark, and cannot be put back by a fixture.
    suite.tests("""
        import itertools
        def make():
            count = itertools.count()
            def test_polluter(): next(count)
            def test_victim(): assert next(count) == 0
            globals().update(test_polluter=test_polluter, test_victim=test_victim)
        make()
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck-budget=300", "--recheck-suggest=fix.patch")
    assert {finding["kind"] for finding in findings} == {"victim"}
    assert all("patch" not in finding for finding in findings)
    assert HELPS not in section(finished)
    assert (suite.path / "fix.patch").read_text() == ""


def test_where_the_patch_cannot_be_written_that_is_a_usage_error(suite: Suite) -> None:
    suite.tests("def test(): pass")
    (suite.path / "folder").mkdir()
    finished = suite.run("-n1", "--recheck-suggest=folder")
    assert finished.ret == 4
    assert "--recheck-suggest: cannot write to 'folder'" in finished.err


def test_without_findings_the_file_is_empty_and_that_is_said(suite: Suite) -> None:
    suite.tests("def test(): assert False")
    (suite.path / "fix.patch").write_text("old")
    finished = suite.run("-n1", "--recheck-suggest=fix.patch")
    assert (suite.path / "fix.patch").read_text() == ""
    assert "--recheck-suggest: no patch was found that helps" in finished.out


#: Tests that want the same thing. In the run the first one keeps it until the others have failed.
CONTENDED = """
    import errno, os, select, pytest
    from pathlib import Path

    @pytest.mark.parametrize("number", range(3))
    def test_serves(number):
        try:
            os.mkdir("taken")
        except FileExistsError:
            Path(f"failed{number}").touch()
            raise OSError(errno.EADDRINUSE, "Address already in use: port 18437") from None
        if Path("ran").exists():
            select.select([], [], [], 0.2)
        while not Path("ran").exists() and len(list(Path().glob("failed*"))) < 2:
            select.select([], [], [], 0.001)
        os.rmdir("taken")
        Path("ran").touch()
"""


def test_of_tests_that_want_one_port_all_get_one_group_which_is_tried(suite: Suite) -> None:
    suite.tests(CONTENDED)
    finished, findings = rechecked(suite, "-n2", "--recheck-suggest=fix.patch")
    assert [finding["kind"] for finding in findings] == ["parallel-only"] * 2
    lines = section(finished)
    assert lines[0] == "2 failures, 1 root"
    assert "    all have failed on port 18437" in lines
    assert "    tried: one after the other in one process 2 of 2 pass" in lines
    assert "    tried: with this patch and --dist=loadgroup they share a process, in which it passes" in lines
    assert "to apply by git apply, needs --dist=loadgroup: " in finished.out
    assert '@pytest.mark.xdist_group("test_serves")' in (suite.path / "fix.patch").read_text()


def test_tests_that_want_one_database_are_tried_as_those_that_want_one_port(suite: Suite) -> None:
    suite.tests(
        CONTENDED.replace("errno, os", "sqlite3, os")
        .replace(
            "import Path", 'import Path; c = sqlite3.connect("shop.db"); c.execute("PRAGMA user_version=1")'
        )
        .replace(
            'os.mkdir("taken")', 'c = sqlite3.connect("shop.db", timeout=0); c.execute("BEGIN EXCLUSIVE")'
        )
        .replace("FileExistsError", "sqlite3.OperationalError")
        .replace('raise OSError(errno.EADDRINUSE, "Address already in use: port 18437") from None', "raise")
        .replace('os.rmdir("taken")', "c.close()")
    )
    finished, findings = rechecked(suite, "-n2")
    assert [finding["kind"] for finding in findings] == ["parallel-only"] * 2
    lines = section(finished)
    assert lines[0] == "2 failures, 1 root"
    assert "    all have failed on database shop.db" in lines
    assert "    tried: one after the other in one process 2 of 2 pass" in lines
    advice = "let each test have its own in tmp_path, or use one xdist_group, with --dist=loadgroup"
    assert f"    one process at a time can have it: {advice}" in lines


def test_no_group_is_suggested_for_tests_that_are_in_groups_of_their_own(suite: Suite) -> None:
    in_groups = '[pytest.param(i, marks=pytest.mark.xdist_group(f"group{i}")) for i in range(3)]'
    suite.tests(CONTENDED.replace("range(3)", in_groups))
    finished, findings = rechecked(suite, "-n2", "--recheck-suggest=fix.patch")
    assert [finding["kind"] for finding in findings] == ["parallel-only"] * 2
    assert "--recheck-suggest: no patch was found that helps" in finished.out
