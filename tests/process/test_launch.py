"""The controller's handle on all processes: what a single stream cannot show, in whole runs."""

from __future__ import annotations

import pytest

from tests.conftest import Suite


def test_environment_beyond_the_buffer_reaches_the_workers(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        monkeypatch.setenv(f"LONG_{number}", "x" * 100_000)
    suite.tests("""
        import os

        def test_environment():
            assert [os.environ[f"LONG_{number}"] for number in range(10)] == ["x" * 100_000] * 10
    """)
    suite.run("-n2").assert_summary(passed=1)


def test_worker_whose_stream_is_written_to_costs_its_test_only(suite: Suite) -> None:
    suite.tests("""
        import os
        import stat
        import pytest

        def test_that_writes_to_every_socket_it_finds():
            for name in os.listdir("/dev/fd"):
                try:
                    if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                        os.write(int(name), b"garbage" * 10)
                except OSError:
                    pass

        @pytest.mark.parametrize("number", range(10))
        def test_other(number):
            pass
    """)
    suite.run("-n2").assert_summary(passed=10, failed=1)
