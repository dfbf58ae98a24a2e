"""The words of a verdict, and what is left out of a stack."""

from __future__ import annotations

from pytest_procpar.report.crash_reports import CrashVerdict, shortened

STACKS = """\
Fatal Python error: Segmentation fault

Thread 0x1 (most recent call first):
  File "/usr/lib/python3/threading.py", line 3 in wait
  File "/usr/lib/python3/threading.py", line 9 in run

Current thread 0x2 (most recent call first):
  File "/home/me/test_it.py", line 3 in test_it
  File "/lib/site-packages/_pytest/python.py", line 1 in runtest
  File "/lib/site-packages/_pytest/runner.py", line 1 in pytest_runtest_call
  File "/lib/site-packages/pluggy/_callers.py", line 1 in _multicall
  File "/usr/bin/pytest", line 1 in <module>

Extension modules: numpy (total: 1)
"""


def test_frames_from_which_pytest_calls_a_test_are_left_out_of_its_thread_only() -> None:
    assert shortened(STACKS).splitlines() == [
        "Fatal Python error: Segmentation fault",
        "",
        "Thread 0x1 (most recent call first):",
        '  File "/usr/lib/python3/threading.py", line 3 in wait',
        '  File "/usr/lib/python3/threading.py", line 9 in run',
        "",
        "Current thread 0x2 (most recent call first):",
        '  File "/home/me/test_it.py", line 3 in test_it',
        '  File "/lib/site-packages/_pytest/python.py", line 1 in runtest',
        "  ...",
        "",
        "Extension modules: numpy (total: 1)",
    ]


def test_a_stack_without_pytest_stays_as_it_is() -> None:
    text = "\n".join(STACKS.splitlines()[:5])
    assert shortened(text) == text


def test_a_verdict_is_a_string_of_one_line_whose_str_is_the_whole_text() -> None:
    verdict = CrashVerdict("it died", "of something", "test_it.py")
    assert isinstance(verdict, str)
    assert verdict == "it died"
    assert f"{verdict}" == f"{verdict:s}" == "it died"
    assert str(verdict) == "it died\nof something"
    assert verdict.reprcrash.message == "it died"  # type: ignore[attr-defined]
