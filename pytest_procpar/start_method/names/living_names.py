"""Finds out which values that a project's files made live on as names.

It looks at the namespaces of the modules that took part, the environment, pytest's config, session and
plugins, and the file system. A value that is gone, or is only compared or counted with, does no harm.
"""

from __future__ import annotations

import linecache
import os
import re
import sys
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping

import pytest

from pytest_procpar.core.evidence.derived_names import assigned_names, made_words
from pytest_procpar.core.evidence.made_values import (
    MadeValue,
    bytes_value,
    drawn_value,
    number_value,
    text_value,
    uuid_value,
)
from pytest_procpar.start_method.names.held_by_pytest import added
from pytest_procpar.start_method.names.held_values import PORTS, held_values
from pytest_procpar.start_method.names.living_numbers import LivingNumbers, takes_free_number
from pytest_procpar.start_method.names.made import RANDOM, Made
from pytest_procpar.start_method.names.telling_variables import is_credential, is_data
from pytest_procpar.start_method.names.unique_names import Before, Site
from pytest_procpar.start_method.project.files import ProjectFiles

__all__ = ["are_in_ids", "living", "living_anywhere"]

_SECRET_KEY = re.compile(r"(^|_)key$", re.IGNORECASE)

#: Calls that return the name of a file and do not create it.
_ONLY_NAMES = ("tempfile.mktemp()", "tempfile._get_candidate_names()")

_PORT_NAME = re.compile(r"(?i:(^|_)ports?(_|$|\d))|[a-z]Port$")

#: Longer random bytes are data.
_LONGEST_BYTES = 64

#: The last word of a text, which may end with a number in another base; the number must have three digits
#: there.
_ENDING, _LEAST_NUMBER = re.compile(r"[0-9A-Za-z]+$"), 0x100

#: Smaller numbers occur in ids by accident.
_LEAST_IN_IDS = 100
#: Smaller numbers occur among all texts of a process by accident; smaller process ids do, except in paths.
_LEAST_ANYWHERE, _LEAST_PID = 10**6, 10**4
#: The most values of one call, and of all, that are looked for in all texts.
_MOST_OF_SITE, _MOST_SOUGHT = 16, 64


def living(
    sites: Iterable[Site],
    config: pytest.Config,
    before: Before,
    project: ProjectFiles,
    numbers: LivingNumbers,
) -> Iterator[Site]:
    """Yield the calls whose values live on.

    `Site.derived` of each is complete when all were yielded, and so is what `numbers` knows.
    """
    environ = list(before.settings_since().items())
    of_pytest = list(added(config, before, project))
    held: dict[tuple[int, ...], list[tuple[str, str | int]]] = {}

    def hold(spaces: Iterable[Mapping[str, object]], site: Site) -> list[tuple[str, str | int]]:
        spaces = list(spaces)
        ports = site.kind == "port"
        around = (site.is_by_library, ports, *sorted(map(id, spaces)))
        if around not in held:
            libraries = not site.is_by_library
            values = held_values(spaces, project.has_module, libraries=libraries, ports=ports)
            held[around] = list(values)
        return held[around]

    others: list[tuple[Site, list[tuple[str, str | int]]]] = []
    for site in sites:
        is_there = any(made.path is not None and os.path.lexists(made.path) for made in site.made)
        if site.kind == "numbered" and not (is_there and takes_free_number(site.file, site.line)):
            continue
        if is_there and not site.is_by_library:
            yield site
            continue
        # Apart: what pytest holds is the same for all modules, and may be much.
        own = [*hold(site.spaces, site), *hold(of_pytest, site)]
        holders = [(name, value) for name, value in [*environ, *own] if is_there or _may_hold(name, site)]
        if (
            _is_in_text(site, holders, project)
            or _is_port(site, holders)
            or _works_out_port(site, own, before)
        ):
            others.clear()
            yield site
        else:
            others.append((site, holders))
    looks = _Looks(project)
    for site, holders in others:
        site.use = "" if _is_derived(site, holders, before, looks) else numbers.use(site, holders)
        if site.derived or site.use:
            yield site


def living_anywhere(sites: Iterable[Site], project: ProjectFiles) -> Iterator[tuple[Site, str]]:
    """Yield the calls whose values are in a text that any object of the process holds, with that holder.

    This takes tens of milliseconds, and more with large libraries.
    """
    sites = list(sites)
    sought = [(site, value) for site in sites for value in _sought(site)]
    if not sought:
        return
    from pytest_procpar.start_method.names.whole_heap import HeapTexts, holder_in_heap

    heap = HeapTexts(frozenset({Made, MadeValue, Site}), _held_by_us(sites))
    texts: dict[Site, set[str]] = {}
    for site, value in sought[:_MOST_SOUGHT]:
        for part in value.telling_parts:
            found = (text for text in heap.holding(part) if _is_surely_in(value, site, text, project))
            texts.setdefault(site, set()).update(found)
    del heap
    for site, found_here in texts.items():
        source = _source(site) if found_here else ""
        holder = holder_in_heap(
            (text for text in found_here if text not in source),
            lambda label, site=site: _may_hold(label, site),  # type: ignore[misc]
        )
        if holder is not None:
            yield site, holder


def _held_by_us(sites: Iterable[Site]) -> frozenset[int]:
    """The ids of the values to which nothing else refers."""
    example = Made(RANDOM, "", object())
    alone = sys.getrefcount(example.value)
    made = (one for site in sites for one in site.made)
    return frozenset(id(one.value) for one in made if sys.getrefcount(one.value) <= alone)


def _sought(site: Site) -> list[MadeValue]:
    """The values of a call that are looked for everywhere: if it made them for the project, as names."""
    if site.is_by_library or site.kind == "folder" or (site.kind == "file" and site.call not in _ONLY_NAMES):
        return []
    least = {"pid": _LEAST_IN_IDS, "port": PORTS.start}.get(site.kind, _LEAST_ANYWHERE)
    values = [value for value in _values(site) if value.number is None or value.number >= least]
    return values[:_MOST_OF_SITE]


def _is_surely_in(value: MadeValue, site: Site, text: str, project: ProjectFiles) -> bool:
    """Whether one of all texts of the process holds the value, and not by accident."""
    text = project.without_root(text)
    if site.kind == "port":
        return f":{value.number}" in text and value.is_wholly_in(text)
    if site.kind == "pid" and value.number is not None and value.number < _LEAST_PID:
        return os.path.isabs(text) and "pytest-of-" not in text and value.is_wholly_in(text)
    return value.is_wholly_in(text) if site.kind == "random" else value.is_surely_in(text)


def are_in_ids(sites: Collection[Site], ids: str) -> bool:
    """Whether the tests' parameters contain what was made, whether that lives on or not.

    :param ids: the parameters as the ids of the tests show them, one a line.
    """
    if any(word in ids for site in sites for word in site.derived):
        return True
    values = (value for site in sites for value in _values(site))
    return any(v.is_wholly_in(ids) for v in values if v.number is None or v.number >= _LEAST_IN_IDS)


def _values(site: Site) -> Iterator[MadeValue]:
    """The values that were made, with characters that were drawn one by one put together."""
    yield from (_value(made) for made in site.made if not made.is_bound())
    if site.characters:
        yield text_value(site.characters)


def _value(made: Made) -> MadeValue:
    match made.kind.name, made.value:
        case "uuid", uuid.UUID() as value:  # in some versions the end identifies the machine
            return uuid_value(value.hex, is_random=value.version not in (1, 6))
        case "bytes", bytes() as data:
            return bytes_value(data)
        case "file", str() as name:
            return text_value(name)
        case "folder", str() as folder:
            return MadeValue((folder,))
        case "pid", int() as pid:
            return number_value(pid, least=2)
        case _, value:
            return drawn_value(value)


def _may_hold(name: str, site: Site) -> bool:
    """Whether what this variable holds may be a name that was made at `site` and is in use."""
    if site.kind == "file":  # the file is gone; what `with` has bound is held by a variable
        return site.call in _ONLY_NAMES or name.isupper()
    if site.kind in ("bytes", "uuid", "random") and is_credential(name):
        return False
    return site.kind != "bytes" or not _SECRET_KEY.search(name)


def _is_in_text(site: Site, holders: Iterable[tuple[str, str | int]], project: ProjectFiles) -> bool:
    """Whether a held text contains what was made, and is not in the code literally."""
    texts = [value for _, value in holders if isinstance(value, str)]
    if site.kind != "folder":  # which may be inside the root
        texts = [project.without_root(text) for text in texts]
    together = "\n".join(texts)
    values = [value for value in _values(site) if value.is_in(together)]
    if not values:
        return False
    source = _source(site)
    return any(text not in source and any(value.is_in(text) for value in values) for text in texts)


def _is_port(site: Site, holders: Iterable[tuple[str, str | int]]) -> bool:
    """Whether a held number is a port that was found at `site`."""
    numbers = {value for _, value in holders if isinstance(value, int) and value in PORTS}
    return site.kind == "port" and bool(numbers & {value.number for value in _values(site)})


def _works_out_port(site: Site, held: Iterable[tuple[str, str | int]], before: Before) -> bool:
    """Whether a module that took part holds a port that is neither in its code nor in the environment.

    :param held: what all modules that took part hold, libraries included.
    """
    if site.kind not in ("pid", "random", "bytes") or not any(_is_named_port(*one) for one in held):
        return False
    modules = {space.get("__name__") for space in site.spaces}
    numbers = {
        str(value)
        for name, value in held_values(site.spaces, modules.__contains__)
        if _is_named_port(name, value)
    }
    given = f"{' '.join(before.environ.values())} {_source(site).replace('_', '')}"
    return any(re.search(rf"(?<![\d.]){number}(?![\d.])", given) is None for number in numbers)


def _is_named_port(name: str, value: str | int) -> bool:
    return isinstance(value, int) and value in PORTS and _PORT_NAME.search(name) is not None


def _is_derived(site: Site, holders: Iterable[tuple[str, str | int]], before: Before, looks: _Looks) -> bool:
    """Whether the statements that took part derived a text, such as a hash, from what was made."""
    if site.kind not in ("pid", "uuid", "bytes", "random") or (site.kind == "bytes" and _is_long(site)):
        return False
    numbers = [made.value for made in site.made if type(made.value) is int and made.value >= _LEAST_NUMBER]
    digits = tuple(f"{number:{base}}" for number in numbers for base in "xo") + _few_digits(site)
    words: dict[str, set[str]] = {}
    for name, value in holders:
        if isinstance(value, str) and (site.kind == "pid" or not is_data(name)):
            found = [*looks.words(value), *(_ENDING.findall(value) if value.endswith(digits) else ())]
            if found:
                words.setdefault(name, set()).update(found)
    if not words:  # so no source needs to be read
        return False
    given = f"{' '.join(before.environ.values())} {_source(site)} {os.uname().nodename}"
    words = {name: {word for word in found if word not in given} for name, found in words.items()}
    for file, lines in site.lines.items():
        for name in looks.names(file, lines) & words.keys():
            site.derived |= words[name]
    return bool(site.derived)


def _few_digits(site: Site) -> tuple[str, ...]:
    """Three digits of each uuid: enough at the end of a text that a statement which took part assigns."""
    hexes = [made.value.hex for made in site.made if isinstance(made.value, uuid.UUID)]
    return tuple(part for digits in hexes for part in (digits[:3], digits[-3:]))


class _Looks:
    """Remembers what texts look like, and what sources assign."""

    def __init__(self, project: ProjectFiles) -> None:
        self._project = project
        self._words: dict[str, list[str]] = {}

    def words(self, text: str) -> list[str]:
        """The words that look derived."""
        known = self._words.get(text)
        if known is None:
            found = made_words(text)
            known = made_words(self._project.without_root(text)) if found else found
            self._words[text] = known
        return known

    def names(self, file: str, lines: Iterable[int]) -> frozenset[str]:
        """The names to which these lines assign what they make."""
        return assigned_names("".join(linecache.getlines(file)), lines)


def _is_long(site: Site) -> bool:
    return all(isinstance(made.value, bytes) and len(made.value) > _LONGEST_BYTES for made in site.made)


def _source(site: Site) -> str:
    """The source of the files that took part."""
    files = dict.fromkeys((site.file, *(space.get("__file__") for space in site.spaces)))
    return "".join("".join(linecache.getlines(file)) for file in files if isinstance(file, str))
