"""Finds names that are unique to a process and were made before there are workers, which would share them.

Only a call in one of the project's own files counts, and only if its result lives on (`living_names`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, islice
from types import FrameType

import pytest

from pytest_procpar.compat.foreign_options import option_values
from pytest_procpar.core.evidence.installed import is_installed
from pytest_procpar.start_method.names.dated_names import DatedNames
from pytest_procpar.start_method.names.living_numbers import IdleNumbers, LivingNumbers
from pytest_procpar.start_method.names.made import Made, SourceKind
from pytest_procpar.start_method.names.name_sources import NameSources
from pytest_procpar.start_method.project.files import ProjectFiles
from pytest_procpar.start_method.project.frames import module_of, package_of

__all__ = ["Before", "Site", "UniqueNames"]

#: How many values of one call site are kept, and how many characters that were drawn one by one.
_MOST_OF_ONE, _MOST_CHARACTERS = 64, 1_000
#: After this many values in total, nothing more is noted: they are data.
_MOST = 20_000

#: Modules and packages that call what they are given, or only find a name for their caller.
_BETWEEN = frozenset({"functools", "contextlib", "dataclasses", "enum"})
_PACKAGES_BETWEEN = frozenset(
    {
        "attr",
        "attrs",
        "pydantic",
        "pydantic_settings",
        "portpicker",
        "port_for",
        "shortuuid",
        "nanoid",
        "ulid",
        "cuid2",
        "ksuid",
        "psutil",
        "pytest_procpar",
    }
)
_TEST_TOOLS = frozenset({"_pytest", "pytest", "pluggy"})

#: What libraries make for the project's files that counts. Random bytes and numbers of libraries are
#: credentials or data, and libraries ask for process ids to see whether they were forked.
_OF_LIBRARIES = frozenset({"file", "uuid", "port"})
#: The most calls of libraries that are looked into.
_MOST_OF_LIBRARIES = 2_000


class Site:
    """A call in one of the project's files, and what it made.

    :param frame: the frame of the call.
    :param call: what it called.
    :param is_own: whether a file is one of the project's.
    :param is_by_library: whether a library made the values for the project.
    """

    def __init__(
        self,
        made: Made,
        frame: FrameType,
        call: str,
        is_own: Callable[[str], bool],
        *,
        is_by_library: bool = False,
    ) -> None:
        self.kind = made.kind.name
        self.call = call
        self.file = frame.f_code.co_filename
        self.line = frame.f_lineno
        self._is_own = is_own
        self.is_by_library = is_by_library
        self._spaces: dict[int, Mapping[str, object]] = {}
        #: By file of the project's: the lines that took part.
        self.lines: dict[str, set[int]] = {}
        self.made: list[Made] = []
        #: Whether so many values were made that they are data.
        self.is_data = False
        #: Characters that were drawn one by one, put together.
        self.characters = ""
        #: Words of texts that were derived from the values.
        self.derived: set[str] = set()
        #: What becomes of a number, in words.
        self.use = ""

    @property
    def spaces(self) -> list[Mapping[str, object]]:
        """The namespaces of the project's modules that took part."""
        return list(self._spaces.values())

    def add(self, made: Made, frame: FrameType | None) -> None:
        """Note another value that was made here, on behalf of all callers of this frame."""
        if len(self.made) < _MOST_OF_ONE and len(self.characters) <= 1:
            while frame is not None:
                file = frame.f_code.co_filename
                if self._is_own(file):
                    self._spaces[id(frame.f_globals)] = frame.f_globals
                    self.lines.setdefault(file, set()).add(frame.f_lineno)
                frame = frame.f_back
        if type(made.value) is str and made.path is None and len(made.value) == 1:
            self.is_data = self.is_data or len(self.characters) >= _MOST_CHARACTERS
            if not self.is_data:
                self.characters += made.value
        elif len(self.made) < _MOST_OF_ONE:
            self.made.append(made)
        elif self.kind == "random":
            self.is_data = True


class Before:
    """What pytest's objects and the environment held before anything was made."""

    def __init__(self, config: pytest.Config) -> None:
        self.environ = dict(os.environ)
        self._folder = _working_directory()
        self.config = frozenset(vars(config))
        self.options = dict(option_values(config))
        self.public = frozenset(vars(pytest))

    def environ_since(self) -> dict[str, str]:
        """The environment variables whose values have changed, or that are new."""
        return {name: value for name, value in os.environ.items() if self.environ.get(name) != value}

    def settings_since(self) -> dict[str, str]:
        """The same, and the working directory if that is another one."""
        folder = _working_directory()
        return {**self.environ_since(), **({"cwd": folder} if folder != self._folder else {})}

    def attributes_since(self, config: pytest.Config) -> dict[str, object]:
        """The attributes that pytest's config has got since."""
        return {name: value for name, value in vars(config).items() if name not in self.config}


def _working_directory() -> str:
    """The working directory; "" if it is gone."""
    with suppress(OSError):
        return os.getcwd()
    return ""


class UniqueNames:
    """Looks for names that the project's own files make between `begin` and `end`.

    :param vouched: what the project declares safe: the word "names" if all names are.
    :param is_vouched: whether a file's calls are safe.
    :param nodeids: returns the ids of the collected tests.
    """

    def __init__(
        self,
        config: pytest.Config,
        project: ProjectFiles,
        vouched: Iterable[str] = (),
        is_vouched: Callable[[str], bool] = lambda file: False,
        nodeids: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._config = config
        self._are_vouched = "names" in vouched
        self._is_vouched = is_vouched
        self._nodeids = nodeids
        self._sources = NameSources(self._note)
        self._project = project
        self._before: Before | None = None
        self._dated: DatedNames | None = None
        self._numbers = LivingNumbers(project)
        #: The numbers of initial conftests of which nothing had become when those were loaded.
        self._early: list[IdleNumbers] = []
        #: By call; None for one that is vouched for.
        self._sites: dict[object, Site | None] = {}
        self._left = _MOST
        self._left_of_libraries = _MOST_OF_LIBRARIES

    def begin(self) -> None:
        """Start to note what is made."""
        if not self._are_vouched:
            self._before = Before(self._config)
            if self._dated is None:
                self._dated = DatedNames(self._config, self._project, self._is_vouched)
            self._dated.begin(self._before)
            self._early, self._numbers.idle = self._numbers.idle, []
            self._sites.clear()
            self._left = _MOST
            self._left_of_libraries = _MOST_OF_LIBRARIES
            self._sources.watch()

    def end(self) -> None:
        """Stop, and leave no trace."""
        self._sources.release()

    def findings(self) -> Iterator[str]:
        """Yield a reason for each call that made a name which lives on.

        There is none if ids of tests contain what was made: workers that collect for themselves would not
        find the same tests.
        """
        yield from self._made()
        if self._dated is not None:
            yield from self._dated.findings(list(self._nodeids()))

    def early_findings(self) -> Iterator[str]:
        """Yield a reason for each number of an initial conftest of which names have been made since.

        Whatever is forked after the initial conftests has the same number.
        """
        nodeids = list(self._nodeids())
        if self._early:
            from pytest_procpar.start_method.names.living_names import are_in_ids

            ids = "\n".join(nodeid.partition("[")[2] for nodeid in nodeids)
            if not are_in_ids([one.site for one in self._early], ids):
                yield from map(self._reason, self._numbers.late_uses(self._early))
        if self._dated is not None:
            yield from self._dated.told_by_source(nodeids, early=True)

    def _made(self) -> Iterator[str]:
        sites = [site for site in list(self._sites.values()) if site is not None and not site.is_data]
        if not sites or self._before is None:
            return
        from pytest_procpar.core.evidence.derived_names import has_made_words
        from pytest_procpar.start_method.names.living_names import are_in_ids, living, living_anywhere

        living_sites = living(sites, self._config, self._before, self._project, self._numbers)
        # One is enough to leave `fork`, so the others are looked at only where somebody wants to know, ...
        found = list(islice(living_sites, 1))
        ids = "\n".join(nodeid.partition("[")[2] for nodeid in self._nodeids())
        if not found:
            if not are_in_ids(sites, ids):
                for site, holder in living_anywhere(sites, self._project):
                    yield f"{self._reason(site)}, held by {holder}"
            return
        if has_made_words(ids):  # ... or where ids may contain what was derived from their values.
            found.extend(living_sites)
        if not are_in_ids(sites, ids):
            for site in chain(found, living_sites):
                yield self._reason(site)

    def _reason(self, site: Site) -> str:
        return f"{self._project.place(site.file)}:{site.line} makes a name of its own: {site.call}{site.use}"

    def _note(self, made: Made, frame: FrameType | None) -> None:
        if self._left <= 0:
            return
        call = made.call
        while frame is not None and _is_between(frame, made.kind):
            call = _call(frame, made.kind) or call
            frame = frame.f_back
        if frame is None or package_of(frame) in _TEST_TOOLS:
            return
        is_by_library = not self._project.has(frame.f_code.co_filename)
        if is_by_library:
            if made.kind.name not in _OF_LIBRARIES or not is_installed(frame.f_code.co_filename):
                return
            if self._left_of_libraries <= 0:
                return
            self._left_of_libraries -= 1
            frame, call = self._asked_for(frame)
            if frame is None:
                return
        self._left -= 1
        key = frame.f_code.co_filename, frame.f_lineno, made.kind, call
        if key not in self._sites:
            is_safe = self._is_vouched(frame.f_code.co_filename)
            self._sites[key] = (
                None if is_safe else Site(made, frame, call, self._project.has, is_by_library=is_by_library)
            )
        site = self._sites[key]
        if site is not None:
            site.add(made, frame)

    def _asked_for(self, frame: FrameType) -> tuple[FrameType | None, str]:
        """The project's frame on behalf of which a library's frame runs, and what it called.

        What a library makes while it is imported is its own, and so is what pytest's plugins make.
        """
        called, caller = frame, frame.f_back
        while caller is not None and not self._project.has(caller.f_code.co_filename):
            if package_of(caller) in _TEST_TOOLS or caller.f_code.co_filename.startswith("<frozen importlib"):
                return None, ""
            called, caller = caller, caller.f_back
        name = called.f_code.co_name
        if name == "__init__":
            name = type(called.f_locals.get("self")).__name__
        return caller, f"{module_of(called)}.{name}()"


def _is_between(frame: FrameType, kind: SourceKind) -> bool:
    """Whether a frame only passes on what other code asks for; code without a file does so, too."""
    module = module_of(frame)
    if module in kind.between or module in _BETWEEN or package_of(frame) in _PACKAGES_BETWEEN:
        return True
    file = frame.f_code.co_filename
    return file.startswith("<") and not file.startswith("<frozen ")


def _call(frame: FrameType, kind: SourceKind) -> str | None:
    """The name of the call, if a frame of the standard library has one that a user knows."""
    module, name = module_of(frame), frame.f_code.co_name
    if module not in kind.between or kind.name in ("pid", "port", "random"):
        return None
    module = module.partition("._")[0]  # a private module of a package
    if name == "__init__":
        return f"{module}.{type(frame.f_locals.get('self')).__name__}()"
    return None if name.startswith("_") else f"{module}.{name}()"
