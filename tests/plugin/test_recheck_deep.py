"""`--recheck=deep`: what no simple order shows is found, and how much was tried is said."""

from __future__ import annotations

import json
from socket import socket

from tests.conftest import Suite
from tests.plugin.rechecking import rechecked, section, told

#: Neither the order of the collection nor its reverse shows the victim: there is a cleaner between.
HIDDEN = """
    STATE = []
    def test_polluter(): STATE.append(1)
    def test_cleaner(): STATE.clear()
    def test_victim(): assert not STATE
    def test_more(): pass
"""


def test_a_cleaner_on_the_way_in_both_directions_hides_nothing(suite: Suite) -> None:
    suite.tests(HIDDEN)
    finished, findings = rechecked(suite, "-n1", "--recheck=deep")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert section(finished)[-1].endswith(
        ": 100 % of their ordered pairs are tried, 100 % with nothing between"
    )
    assert finished.ret == 0


def test_the_report_says_what_was_tried(suite: Suite) -> None:
    suite.file("test_a.py", "def test_1(): pass\ndef test_2(): pass")
    suite.file("test_b.py", "def test_3(): pass\ndef test_4(): pass")
    _, findings = rechecked(suite, "-n2", "--recheck=deep")
    assert findings == []
    orders = json.loads((suite.path / "report.json").read_text())["orders"]
    assert orders.pop("orders") >= 4
    assert orders == {
        "tests": 4,
        "tried": 1,
        "adjacent": 1,
        "estimate": False,
        "left_out": 0,
        "followed": 0,
        "not_alone": 0,
    }


def test_what_always_failed_is_found_to_need_a_test_that_comes_much_later(suite: Suite) -> None:
    """A test between unsets it in both directions."""
    suite.tests("""
        STATE = []
        def test_brittle(): assert STATE
        def test_unsetter(): STATE.clear()
        def test_setter(): STATE.append(1)
        def test_more(): pass
    """)
    _, findings = rechecked(suite, "-n1", "--recheck=deep")
    assert told(findings) == {"test_brittle": ("brittle", ["test_setter"])}


def test_the_order_of_the_collection_is_tried_if_no_worker_has_run_it(suite: Suite) -> None:
    suite.tests("""
        STATE = []
        def test_polluter(): STATE.append(1)
        def test_victim(): assert not STATE
    """)
    finished, findings = rechecked(suite, "-n1", "--max-tests-per-worker=1", "--recheck=all")
    finished.assert_summary(passed=2)
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}


def test_all_others_are_tried_right_after_a_test_that_changes_state(suite: Suite) -> None:
    cleaners = "".join(f"def test_cleaner_{i}(): STATE.clear()\n" for i in range(20))
    suite.file(
        "test_it.py",
        f"STATE = []\ndef test_polluter(): STATE.append(1)\n{cleaners}def test_victim(): assert not STATE\n",
    )
    finished, findings = rechecked(suite, "-n1", "--recheck=deep")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    orders = json.loads((suite.path / "report.json").read_text())["orders"]
    # Who has stood right after the polluter in some order by chance is not tried so again.
    assert orders["followed"] >= 1 or orders["adjacent"] == 1
    is_told = "; all others were tried right after each of" in section(finished)[-1]
    assert is_told == (orders["followed"] >= 1)


def test_a_port_that_a_test_leaves_open_is_not_met_in_processes_that_wait(suite: Suite) -> None:
    """A checkpoint behind that test has the port, too, and is nobody's polluter."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    suite.tests(f"""
        import pytest, socket, time
        SERVERS = []
        def test_leaves_server():
            SERVERS.append(socket.socket())
            SERVERS[-1].bind(("127.0.0.1", {port}))
        def test_listens():
            with socket.socket() as server: server.bind(("127.0.0.1", {port}))
        @pytest.mark.parametrize("number", range(20))
        def test_fine(number): time.sleep(0.01)
    """)
    _, findings = rechecked(suite, "-n1", "--recheck=deep")
    assert told(findings)["test_listens"] == ("victim", ["test_leaves_server"])
    assert "flaky" not in {finding["kind"] for finding in findings}
