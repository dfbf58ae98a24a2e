"""Where the output of pytest's processes goes: capture, the terminal reporter, and the standard descriptors.

Written against the private parts of pytest 8.2 to 9.2.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

import pytest
from _pytest.capture import CaptureManager, FDCapture, FDCaptureBinary
from _pytest.faulthandler import fault_handler_stderr_fd_key

# Not gevent's replacement of `os.close`, which closes later.
if sys.platform == "win32":
    from os import close as _close
else:
    from posix import close as _close

if TYPE_CHECKING:

    class Writer(Protocol):
        """The terminal reporter, pytest's or what another plugin puts in its place, as a writer of lines."""

        @property
        def _screen_width(self) -> int: ...

        def write_sep(self, sep: str, title: str, /) -> None:
            """Write a line across the screen, with a title."""

        def write_line(self, line: str, /) -> None:
            """Write a line of its own."""


__all__ = [
    "add_to_stats", "capture_files", "captured_kept", "end_progress_line", "forget_fault_handler",
    "move_open_files", "mute_log_file", "mute_reporter", "output_in_batches", "own_capture",
    "redirect_stdio", "screen_width", "terminal_stream",
]  # fmt: skip


def _fd_captures(config: pytest.Config) -> Iterable[FDCapture | FDCaptureBinary]:
    manager = config.pluginmanager.getplugin("capturemanager")
    if not isinstance(manager, CaptureManager) or manager._global_capturing is None:
        return
    capturing = manager._global_capturing
    for capture in (capturing.in_, capturing.out, capturing.err):
        if isinstance(capture, (FDCapture, FDCaptureBinary)):
            yield capture


def capture_files(config: pytest.Config) -> frozenset[int]:
    """The descriptors of the files that pytest captures into."""
    return frozenset(capture.tmpfile.fileno() for capture in _fd_captures(config))


def redirect_stdio(
    config: pytest.Config, source: int, targets: Iterable[int], far: Callable[[int], int]
) -> None:
    """Make the standard descriptors in `targets` copies of `source`, during capture and after it.

    While it is suspended, pytest's capture uses a saved copy of the original, so that copy is replaced, too.
    The new one gets another number, since nothing can be put onto a number above the soft limit.

    :param far: see `own_capture`.
    """
    wanted = set(targets)
    captured = {c.targetfd: c for c in _fd_captures(config)}
    for target in wanted:
        capture = captured.get(target)
        if capture is None or capture._state != "started":
            os.dup2(source, target)
        if capture is not None:
            saved, capture.targetfd_save = capture.targetfd_save, far(os.dup(source))
            _close(saved)


def own_capture(config: pytest.Config, files: Mapping[int, int], far: Callable[[int], int]) -> None:
    """Let this process capture standard output (1) and error (2) in `files`, by descriptors of its own.

    A capture file is one open file description: after a fork, all processes would write to it, and each
    would read half of the others' output. The file objects stay, since other code refers to them.

    :param far: moves a descriptor to a number where it is not found by tests that close all descriptors they
        know of. pytest's own capture does not survive such tests.
    """
    for capture in _fd_captures(config):
        saved = capture.targetfd_save
        capture.targetfd_save = far(os.dup(saved))
        _close(saved)
        if capture.targetfd == 0:
            capture.tmpfile.close()
            null = far(os.open(os.devnull, os.O_RDONLY))
            capture.tmpfile = open(null, encoding="utf-8")  # noqa: SIM115 (capture closes it)
            continue
        descriptor = far(os.dup(files[capture.targetfd]))
        raw = capture.tmpfile.buffer
        if type(raw) is io.FileIO:
            raw.__init__(descriptor, "rb+")  # type: ignore[misc]  # closes the old one, keeps the object
        else:
            os.dup2(descriptor, capture.tmpfile.fileno(), inheritable=False)
            _close(descriptor)
        if capture._state == "started":
            os.dup2(capture.tmpfile.fileno(), capture.targetfd)


def _read_all(fd: int) -> bytes:
    """The contents of a file. Afterwards its position is at the end."""
    os.lseek(fd, 0, os.SEEK_SET)
    return os.read(fd, os.fstat(fd).st_size)


@contextmanager
def captured_kept(config: pytest.Config) -> Iterator[None]:
    """Keep what is in the capture files, although another process captures into them meanwhile."""
    captures = [c for c in _fd_captures(config) if c.targetfd != 0]
    descriptors = [capture.tmpfile.fileno() for capture in captures]
    contents = [_read_all(fd) for fd in descriptors]
    try:
        yield
    finally:
        for fd, content in zip(descriptors, contents, strict=True):
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
            os.write(fd, content)


def move_open_files(config: pytest.Config, far: Callable[[int], int]) -> None:
    """Move descriptors that pytest's plugins keep open to where tests do not close them (see `own_capture`).

    These are the null device, which the logging plugin opens if there is no log file, and the descriptor
    that the faulthandler plugin writes to.
    """
    handler = getattr(config.pluginmanager.getplugin("logging-plugin"), "log_file_handler", None)
    raw = getattr(getattr(getattr(handler, "stream", None), "buffer", None), "raw", None)
    if type(raw) is io.FileIO and getattr(handler, "baseFilename", None) == os.devnull:
        raw.__init__(far(os.dup(raw.fileno())), "w")  # type: ignore[misc]  # as in `own_capture`
    if fault_handler_stderr_fd_key in config.stash:
        config.stash[fault_handler_stderr_fd_key] = far(config.stash[fault_handler_stderr_fd_key])


def mute_log_file(config: pytest.Config, null: int) -> None:
    """Keep this process from writing any more into the file of ``--log-file``.

    :param null: a descriptor of the null device.
    """
    handler = getattr(config.pluginmanager.getplugin("logging-plugin"), "log_file_handler", None)
    stream = getattr(handler, "stream", None)
    if stream is not None:
        stream.flush()
        os.dup2(null, stream.fileno(), inheritable=False)


def forget_fault_handler(config: pytest.Config) -> None:
    """Keep pytest's faulthandler plugin from closing its descriptor at the end: ours is in use instead."""
    if fault_handler_stderr_fd_key in config.stash:
        del config.stash[fault_handler_stderr_fd_key]


class _Held:
    """A text stream that holds back what is written to it until it is released.

    This is so even for an unbuffered stream (``PYTHONUNBUFFERED``, usual in containers). Text that the stream
    may refuse to encode is written at once, since the writer has to know.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._held: list[str] = []

    def write(self, text: str) -> int:
        """Hold text back."""
        if not text.isascii():
            self.release()
            return self.stream.write(text)
        self._held.append(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: `release` flushes."""

    def release(self) -> None:
        """Write and flush all that was held back."""
        if self._held:
            text = "".join(self._held)
            self._held.clear()
            self.stream.write(text)
            self.stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


@contextmanager
def output_in_batches(config: pytest.Config) -> Iterator[Callable[[], None]]:
    """Write the terminal reporter's letters in batches: when the yielded function is called, and at the end.

    The reporter flushes after every letter, which is a system call each. Lines (``-v``) are written at once,
    since they stand between what plugins print.
    """
    writer = getattr(config.pluginmanager.getplugin("terminalreporter"), "_tw", None)
    stream = getattr(writer, "_file", None)
    if writer is None or stream is None or config.get_verbosity() > 0:
        yield lambda: None
        return
    held = _Held(stream)
    writer._file = held
    try:
        yield held.release
    finally:
        if writer._file is held:
            writer._file = stream
        held.release()


def end_progress_line(config: pytest.Config) -> None:
    """Let the terminal reporter write the progress at the end of the last line of letters, unless it has.

    Since pytest 9 it does so after the loop over the tests. That is too late for code that writes lines
    before the loop ends.
    """
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if not hasattr(reporter, "pytest_runtestloop") or config.get_verbosity(config.VERBOSITY_TEST_CASES) > 0:
        return
    if reporter._show_progress_info and reporter.reported_progress:
        reporter._write_progress_information_filling_space()
        reporter._show_progress_info = False


def terminal_stream(config: pytest.Config) -> TextIO | None:
    """The stream that the terminal reporter writes to if that is a terminal, without `output_in_batches`."""
    writer = getattr(config.pluginmanager.getplugin("terminalreporter"), "_tw", None)
    stream = getattr(writer, "_file", None)
    if isinstance(stream, _Held):
        stream.release()
        stream = stream.stream
    try:
        return stream if stream is not None and os.isatty(stream.fileno()) else None
    except (AttributeError, OSError, ValueError):
        return None


def screen_width(reporter: Writer) -> int:
    """How many columns pytest's terminal reporter takes its terminal to have."""
    return int(reporter._screen_width)


def add_to_stats(reporter: pytest.TerminalReporter, category: str, entries: Sequence[object]) -> None:
    """Let pytest's terminal reporter count these in its last line."""
    reporter._add_stats(category, entries)


def mute_reporter(config: pytest.Config, sink: TextIO) -> None:
    """In a process that owns no terminal, let the terminal reporter write to `sink` and show no test.

    Plugins expect the reporter to be there, but nobody sees what it would format for every test, nor its part
    of the header. Whether it gets reports is decided once it is known who listens to it (see `Statuses`).
    """
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None:
        return
    reporter._tw._file = sink
    for name in ("pytest_report_header", "pytest_runtest_logstart", "pytest_runtest_logfinish"):
        caller = getattr(config.pluginmanager.hook, name)
        if any(impl.plugin is reporter for impl in caller.get_hookimpls()):
            caller._remove_plugin(reporter)
