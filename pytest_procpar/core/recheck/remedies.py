"""Fixtures that put state back after each test: what to write for which slot.

Pure. What is written is a guess until it has run: a name may not lead to the same place everywhere.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable, Collection, Iterable, Sequence

from pytest_procpar.core.record import record

__all__ = ["NEW", "SCOPES", "Slot", "fixture_for", "is_module_in", "module_of"]

#: The scopes of such a fixture, the narrowest first: a module's fixtures may do the damage.
SCOPES = ("function", "module")

#: The beginning of a slot's `way` if the slot was not there before the tests ran.
NEW = "new "

_INDENT = "    "
_ABOUT = '"""Put back what tests of this file change, and others depend on."""'


@record
class Slot:
    """State to put back: what a user would type to see it, and what it is.

    ``way`` is what it is: "variable" (of the environment), "attribute", "class attribute", "item", "setting",
    "cache", "generator" (of random numbers), "array", "ndarray", "order" (of keys), "subclasses" (of a
    class), or the builtin type of a container. It begins with `NEW` if the slot was not there before. Empty:
    no way to put it back is known.
    ``module`` is the one in which the name begins.
    """

    name: str
    way: str
    module: str


@record
class _Step:
    """What a fixture does for one slot: lines before the test and after it."""

    module: str
    before: tuple[str, ...]
    after: tuple[str, ...]


#: Settings of the process: the module to import, how to read the setting, and how to set it.
_SETTINGS = {
    "os.getcwd()": ("os", "os.getcwd()", "os.chdir({})"),
    "random.getstate()": ("random", "random.getstate()", "random.setstate({})"),
    "numpy.random.get_state()": ("numpy", "numpy.random.get_state()", "numpy.random.set_state({})"),
    "sys.getrecursionlimit()": ("sys", "sys.getrecursionlimit()", "sys.setrecursionlimit({})"),
    "sys.getswitchinterval()": ("sys", "sys.getswitchinterval()", "sys.setswitchinterval({})"),
    "sys.gettrace()": ("sys", "sys.gettrace()", "sys.settrace({})"),
    "sys.getprofile()": ("sys", "sys.getprofile()", "sys.setprofile({})"),
    "sys.getdlopenflags()": ("sys", "sys.getdlopenflags()", "sys.setdlopenflags({})"),
    "sys.get_asyncgen_hooks()": ("sys", "sys.get_asyncgen_hooks()", "sys.set_asyncgen_hooks(*{})"),
    "sys.get_coroutine_origin_tracking_depth()": (
        "sys",
        "sys.get_coroutine_origin_tracking_depth()",
        "sys.set_coroutine_origin_tracking_depth({})",
    ),
    "os.sched_getaffinity(0)": ("os", "os.sched_getaffinity(0)", "os.sched_setaffinity(0, {})"),
    "socket.getdefaulttimeout()": ("socket", "socket.getdefaulttimeout()", "socket.setdefaulttimeout({})"),
    "locale.setlocale(LC_ALL)": (
        "locale",
        "locale.setlocale(locale.LC_ALL)",
        "locale.setlocale(locale.LC_ALL, {})",
    ),
    "gc.get_threshold()": ("gc", "gc.get_threshold()", "gc.set_threshold(*{})"),
    "os.umask()": ("os", "os.umask(0o022)\nos.umask({kept})", "os.umask({})"),
    "gc.isenabled()": ("gc", "gc.isenabled()", "(gc.enable if {} else gc.disable)()"),
    "faulthandler.is_enabled()": (
        "faulthandler",
        "faulthandler.is_enabled()",
        "(faulthandler.enable if {} else faulthandler.disable)()",
    ),
    "tracemalloc.is_tracing()": (
        "tracemalloc",
        "tracemalloc.is_tracing()",
        "(tracemalloc.start if {} else tracemalloc.stop)()",
    ),
    "os.getpriority(os.PRIO_PROCESS, 0)": (
        "os",
        "os.getpriority(os.PRIO_PROCESS, 0)",
        "os.setpriority(os.PRIO_PROCESS, 0, {})",
    ),
    "signal.set_wakeup_fd()": (
        "signal",
        "signal.set_wakeup_fd(-1)\nsignal.set_wakeup_fd({kept})",
        "signal.set_wakeup_fd({})",
    ),
    "asyncio.get_event_loop()": (
        "asyncio",
        "asyncio.get_event_loop_policy()",
        "asyncio.set_event_loop_policy(type({})())",
    ),
    "csv.field_size_limit()": ("csv", "csv.field_size_limit()", "csv.field_size_limit({})"),
    "sys.get_int_max_str_digits()": (
        "sys",
        "sys.get_int_max_str_digits()",
        "sys.set_int_max_str_digits({})",
    ),
    **{
        f"decimal.getcontext().{field}": (
            "decimal",
            f"decimal.getcontext().{field}",
            f"decimal.getcontext().{field} = {{}}",
        )
        for field in ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
    },
    "decimal.getcontext().traps": (
        "decimal",
        "decimal.getcontext().traps.copy()",
        "decimal.getcontext().traps.update({})",
    ),
    "logging.root.manager._disable": ("logging", "logging.root.manager.disable", "logging.disable({})"),
}

_SIGNAL = re.compile(r"signal\.getsignal\((SIG[A-Z0-9]+)\)").fullmatch

#: How a container is copied, and how its content is put back.
_CONTAINERS = {
    "dict": ("dict({})", ("{}.clear()", "{}.update({})")),
    "list": ("list({})", ("{}[:] = {}",)),
    "set": ("set({})", ("{}.clear()", "{}.update({})")),
    "deque": ("list({})", ("{}.clear()", "{}.extend({})")),
    "bytearray": ("bytes({})", ("{}[:] = {}",)),
    "array": ("{}[:]", ("{}[:] = {}",)),
    "ndarray": ("{}.copy()", ("{}[...] = {}",)),
}


def fixture_for(
    slots: Sequence[Slot], *, own_module: str, scope: str, name: str, imported: Collection[str] = ()
) -> str:
    """The source of a fixture that puts these slots back after each test of its file, or after all of them.

    Empty if that cannot be written for one of them.

    :param own_module: the module that the fixture is in, whose names need no import.
    :param scope: one of `SCOPES`.
    :param name: the name of the fixture.
    :param imported: the modules that its file has imported.
    """
    steps = [_step(slot, own_module, f"before_{at}" if at else "before") for at, slot in enumerate(slots)]
    known = [step for step in steps if step is not None]
    if not known or len(known) < len(steps):
        return ""
    arguments = "autouse=True" if scope == SCOPES[0] else f'scope="{scope}", autouse=True'
    modules = sorted({step.module for step in known if step.module}.difference(imported))
    body = [_ABOUT, *(f"import {module}" for module in modules), *([""] if modules else [])]
    body += [line for step in known for line in step.before]
    body += ["yield", *(line for step in reversed(known) for line in step.after)]
    indented = [_INDENT + line if line else "" for line in body]
    source = "\n".join([f"@pytest.fixture({arguments})", f"def {name}():", *indented, ""])
    return source if _is_python(source) else ""


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return source.isascii()


def _step(slot: Slot, own_module: str, kept: str) -> _Step | None:
    """What to do for one slot, keeping its state in a variable named `kept`."""
    is_new, way = slot.way.startswith(NEW), slot.way.removeprefix(NEW)
    if slot.name in _SETTINGS:
        module, read, write = _SETTINGS[slot.name]
        before = f"{kept} = {read}".replace("{kept}", kept)
        return _Step(module, tuple(before.split("\n")), (write.format(kept),))
    if (handler := _SIGNAL(slot.name)) is not None:
        name = f"signal.{handler[1]}"
        return _Step("signal", (f"{kept} = signal.getsignal({name})",), (f"signal.signal({name}, {kept})",))
    if way == "subclasses":  # nothing but themselves holds them, most often
        return _Step("gc", (), ("gc.collect()",))
    if not _is_importable(slot.module):
        return None
    module, name, scope = slot.module, slot.name, slot.module
    if module == own_module:
        module, name, scope = "", name.removeprefix(f"{own_module}."), "globals()"
    make = _WAYS.get(way)
    lines = None if make is None else make(name, scope, kept, is_new)
    return None if lines is None else _Step(module, *lines)


def _is_importable(module: str) -> bool:
    parts = module.split(".")
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)


_Lines = tuple[tuple[str, ...], tuple[str, ...]]


def _variable(name: str, _: str, kept: str, is_new: bool) -> _Lines | None:
    key = _key_of(name)
    if key is None:
        return None
    if is_new:
        return (), (f"os.environ.pop({key}, None)",)
    return (f"{kept} = os.environ[{key}]",), (f"os.environ[{key}] = {kept}",)


def _item(name: str, _: str, kept: str, is_new: bool) -> _Lines | None:
    key = _key_of(name)
    if key is None:
        return None
    if is_new:
        return (), (f"{name[: -len(key) - 2]}.pop({key}, None)",)
    return (f"{kept} = {name}",), (f"{name} = {kept}",)


def _key_of(name: str) -> str | None:
    """The source of the key, if a name ends in one."""
    tree = _expression(name)
    if not isinstance(tree, ast.Subscript) or not isinstance(tree.slice, ast.Constant):
        return None
    return ascii(tree.slice.value) if name.endswith(f"[{tree.slice.value!r}]") else None


def _attribute(name: str, scope: str, kept: str, is_new: bool, *, of_class: bool = False) -> _Lines | None:
    tree = _expression(name)
    if isinstance(tree, ast.Name):  # a global of the fixture's own file
        return _item(f"{scope}[{name!r}]", scope, kept, is_new)
    if isinstance(tree, ast.Subscript):
        return _item(name, scope, kept, is_new)
    if not isinstance(tree, ast.Attribute):
        return None
    owner, attribute = name[: -len(tree.attr) - 1], tree.attr
    if is_new:
        return (), (f"if {attribute!r} in vars({owner}):", f"{_INDENT}del {name}")
    if owner.startswith("logging.getLogger(") and attribute == "level":
        return (f"{kept} = {name}",), (f"{owner}.setLevel({kept})",)
    # An attribute of a class is not always what the class holds: for a staticmethod it is a function.
    value = f"vars({owner})[{attribute!r}]" if of_class else name
    return (f"{kept} = {value}",), (f"{name} = {kept}",)


def _class_attribute(name: str, scope: str, kept: str, is_new: bool) -> _Lines | None:
    return _attribute(name, scope, kept, is_new, of_class=True)


def _cache(name: str, _: str, kept: str, is_new: bool) -> _Lines | None:
    return (), (f"{name.removesuffix('.cache_info()')}.cache_clear()",)


def _container(kind: str) -> _Way:
    copy, refill = _CONTAINERS[kind]

    def make(name: str, _: str, kept: str, is_new: bool) -> _Lines | None:
        return (f"{kept} = {copy.format(name)}",), tuple(line.format(name, kept) for line in refill)

    return make


def _order(name: str, scope: str, kept: str, is_new: bool) -> _Lines | None:
    return _container("dict")(name.removesuffix(".keys()"), scope, kept, is_new)


def _generator(name: str, _: str, kept: str, is_new: bool) -> _Lines | None:
    return (f"{kept} = {name}",), (f"{name.removesuffix('.getstate()')}.setstate({kept})",)


_Way = Callable[[str, str, str, bool], "_Lines | None"]
_WAYS: dict[str, _Way] = {
    "variable": _variable,
    "item": _item,
    "attribute": _attribute,
    "class attribute": _class_attribute,
    "cache": _cache,
    "generator": _generator,
    "order": _order,
    **{kind: _container(kind) for kind in _CONTAINERS},
}


def _expression(name: str) -> ast.expr | None:
    try:
        return ast.parse(name, mode="eval").body
    except (SyntaxError, ValueError):
        return None


def is_module_in(module: str, file: str) -> bool:
    """Whether a file (with slashes) holds a module, judged by the module's name."""
    parts = module.split(".")
    return file.removesuffix(".py").split("/")[-len(parts) :] == parts


def module_of(name: str, is_module: Callable[[str], bool]) -> str:
    """The longest beginning of a name that names a module; empty if there is none."""
    parts = name.split(".")
    return next((m for m in _beginnings(parts) if is_module(m)), "")


def _beginnings(parts: Sequence[str]) -> Iterable[str]:
    return (".".join(parts[:count]) for count in range(len(parts), 0, -1))
