"""What is warned of before a process is forked that has threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from pytest_procpar.start_method.thread_warning import count_threads, thread_warning

pytestmark = pytest.mark.python_dependent

NEW = (3, 12)


@pytest.fixture
def thread() -> Iterator[threading.Thread]:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="busy")
    thread.start()
    yield thread
    end.set()
    thread.join()


def test_a_process_without_threads_has_nothing_to_warn_of() -> None:
    if count_threads() == 1:
        assert thread_warning((), version=NEW) is None


def test_a_thread_is_named(thread: threading.Thread) -> None:
    text = thread_warning((), version=NEW)
    assert text is not None
    assert "is multi-threaded" in text  # what filters for Python's own warning look for
    assert "use of fork() may lead to deadlocks in the child" in text
    assert "thread 'busy' is running" in text


def test_what_is_vouched_for_is_no_matter(thread: threading.Thread) -> None:
    assert thread_warning(["busy"], version=NEW) is None


def test_what_has_been_looked_at_is_no_matter(thread: threading.Thread) -> None:
    assert thread_warning((), count_threads(), version=NEW) is None
    assert thread_warning((), count_threads() - 1, version=NEW) is not None


def test_nothing_is_said_where_python_says_nothing(thread: threading.Thread) -> None:
    assert thread_warning((), version=(3, 11)) is None
    assert (thread_warning(()) is None) == (sys.version_info < NEW)
