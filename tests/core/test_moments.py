"""Names that are made of the time are told from other texts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.evidence.moments import holds_moment

_MOMENT = 1_790_000_000.123456789
_LOCAL = datetime.fromtimestamp(_MOMENT)
_UTC = datetime.fromtimestamp(_MOMENT, timezone.utc)


def is_seen(text: str) -> bool:
    return holds_moment(text, _MOMENT - 5, _MOMENT + 5)


@pytest.mark.parametrize(
    "text",
    [
        "db_1790000000123", "1790000000123456", "queue-1790000000123456789.txt", "run_1790000000.123456",
        f"/tmp/{1_790_000_000_123_456_789:x}", f"{_LOCAL:%Y%m%d%H%M%S%f}", f"{_UTC:run_%Y%m%dT%H%M%S_%f}",
        f"{_LOCAL:%Y-%m-%d_%H-%M-%S-%f}.log", f"db_{_LOCAL:%H%M%S%f}", f"{_UTC:%H-%M-%S-%f}",
        f"{_LOCAL:%M%S%f}",
        f"db_{_LOCAL:%y%m%d_%H%M%S_%f}", f"db_{1_790_000_000_123_456:x}", f"db_{1_790_000_000_123:X}",
    ],
)  # fmt: skip
def test_a_name_is_seen(text: str) -> None:
    assert is_seen(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "1790000000", "run_1790000000", "1790000000.123456", str(_LOCAL), _UTC.isoformat(),
        f"{_LOCAL:%Y%m%d%H%M%S}", "db_1790000010123", "00001790000000123", "99999999999999999999", "f" * 16,
        "f" * 13, f"{_LOCAL:%y%m%d_%H%M%S}", f"{_LOCAL:%Y-%m-%d_%H%M%S}", f"{_LOCAL:%H%M%S}",
        "db_999999999999",
        f"{_LOCAL + timedelta(seconds=9):%H%M%S%f}", f"{_UTC - timedelta(seconds=9):%M%S%f}", "9999999999",
    ],
)  # fmt: skip
def test_other_texts_are_none(text: str) -> None:
    assert not is_seen(text)


@given(st.floats(1_000_000_000, 4_000_000_000), st.sampled_from([1e3, 1e6]))
def test_it_is_seen_in_its_time_only(moment: float, unit: float) -> None:
    text = f"name-{int(moment * unit)}"
    assert holds_moment(text, moment - 1, moment + 1)
    assert not holds_moment(text, moment + 1, moment + 2)
    assert not holds_moment(text, moment - 2, moment - 1)


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    is_seen(text)
