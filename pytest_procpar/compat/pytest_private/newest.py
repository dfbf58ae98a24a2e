"""The newest pytest that this version was tried with. A newer one may have changed its private parts."""

from __future__ import annotations

__all__ = ["NEWEST_TRIED", "untried_note"]

#: The newest minor version of pytest that all tests have passed with.
NEWEST_TRIED = (9, 2)


def untried_note(version: tuple[int | str, ...]) -> str | None:
    """The header's line about a pytest that is newer than that; None if it is not newer.

    :param version: `pytest.version_tuple`.
    """
    minor = tuple(part for part in version[:2] if isinstance(part, int))
    if minor <= NEWEST_TRIED:
        return None
    newest, this = (".".join(map(str, parts)) for parts in (NEWEST_TRIED, minor))
    return f"procpar: pytest {this} is newer than {newest}, the newest one that this version was tried with"
