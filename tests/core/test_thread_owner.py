"""The library that a thread belongs to is found on its stack, whatever else lies there."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.evidence.thread_owner import Mapping, MemoryMap, is_return_address, owner, parse_maps

MAPS = """\
400000-401000 r-xp 00000000 fe:00 1 /usr/bin/python3
500000-501000 r--p 00000000 fe:00 2 /v/site-packages/a/libpool-1a2b.so.1
501000-502000 r-xp 00001000 fe:00 2 /v/site-packages/a/libpool-1a2b.so.1
502000-503000 rw-p 00002000 fe:00 2 /v/site-packages/a/libpool-1a2b.so.1
600000-601000 r-xp 00000000 fe:00 3 /opt/with a space/libother.so (deleted)
700000-701000 r-xp 00000000 fe:00 4 /lib/libc.so.6
701000-702000 r-xp 00000000 fe:00 4 /lib/libstdc++.so.6.0.30
800000-880000 rw-p 00000000 00:00 0
900000-901000 r-xp 00000000 00:00 0 [vdso]
a00000-a01000 rwxp 00000000 00:00 0
"""
PYTHON, POOL, OTHER = (
    "/usr/bin/python3",
    "/v/site-packages/a/libpool-1a2b.so.1",
    "/opt/with a space/libother.so (deleted)",
)
IN_POOL, IN_OTHER, IN_C, IN_CXX = 0x501800, 0x600010, 0x700020, 0x701020
#: What lies on a stack and is no call: data, code without a file, the kernel's, read-only data of a library.
NOISE = [0, 7, 2**64 - 1, 0x500100, 0x502100, 0x800010, 0x900010, 0xA00010, 0x880000, 0x402000]
#: Where the stack is taken to be, and a thread's number.
STACK, TID = 0x840000, 4711
MEMORY = MemoryMap(parse_maps(MAPS))

noise = st.lists(st.sampled_from([*NOISE, IN_C, IN_CXX]), max_size=30)


def find(words: list[int], tid: int | None = None, pointers: frozenset[int] = frozenset()) -> str | None:
    stack = struct.pack(f"{len(words)}Q", *words)
    return owner(stack, STACK, tid, MEMORY, lambda address: address not in pointers)


def record(index: int, *about: int, tid: int = TID) -> list[int]:
    """glibc's record of a thread, the first word of which is at this place of the stack."""
    here = STACK + 8 * index
    return [here, 0, here, 0, tid | 5 << 32, *about]


def test_maps_are_read() -> None:
    mappings = parse_maps(MAPS)
    assert mappings[0] == Mapping(0x400000, 0x401000, True, True, PYTHON)
    assert mappings[4].path == OTHER
    assert [m.is_executable for m in mappings] == [
        True,
        False,
        True,
        False,
        True,
        True,
        True,
        False,
        True,
        True,
    ]
    assert parse_maps("") == []
    assert parse_maps("nonsense\n\n1 2 3 4 5 6\n") == []


@given(st.integers(0, 0xB00000))
def test_an_address_is_in_one_mapping_or_none(address: int) -> None:
    mapping = MEMORY.at(address)
    holding = [m for m in parse_maps(MAPS) if m.start <= address < m.end]
    assert ([] if mapping is None else [mapping]) == holding


def test_a_signed_address_is_in_its_mapping() -> None:
    memory, signed = MemoryMap(parse_maps(MAPS), bits=48), IN_POOL | 0x7F << 48
    assert memory.code(signed) == POOL
    assert memory.plain(signed) == IN_POOL
    assert MEMORY.code(signed) is None


def test_files_and_tails() -> None:
    assert MEMORY.files("lib*pool*") == [POOL]
    assert MEMORY.files("*site-packages*") == []
    assert list(MEMORY.tails(0x1000)) == [(0x87F000, 0x1000)]
    assert list(MEMORY.tails(0x100000)) == []


@given(noise, noise)
def test_of_a_pool_the_library_is_found_that_has_started_it(above: list[int], below: list[int]) -> None:
    assert find([*above, IN_OTHER, *above, IN_POOL, *below]) == POOL
    assert find([*above, IN_POOL, *above, IN_OTHER, *below]) == OTHER


@given(noise)
def test_what_all_threads_go_through_is_nobodys(words: list[int]) -> None:
    assert find(words) is None
    assert find([*words, *record(len(words), IN_C, IN_CXX)]) is None


@given(noise, noise)
def test_the_function_that_a_thread_was_started_with_counts_first(above: list[int], rest: list[int]) -> None:
    words = [IN_OTHER, *above]
    assert find([*words, *record(len(words), *rest, IN_POOL)]) == POOL
    assert find([*words, *record(len(words), *rest, IN_POOL)], TID) == POOL


@given(noise, noise)
def test_frames_count_where_that_function_is_nobodys(above: list[int], rest: list[int]) -> None:
    words = [IN_POOL, *above]  # as of a thread of C++'s library
    assert find([*words, *record(len(words), IN_CXX, *rest)]) == POOL


@given(noise)
def test_a_pointer_to_code_is_no_frame(below: list[int]) -> None:
    assert find([IN_POOL, IN_OTHER, *below], pointers=frozenset({IN_OTHER})) == POOL


@given(noise)
def test_a_stack_that_may_be_anothers_is_believed_by_its_record_only(words: list[int]) -> None:
    stack = [IN_POOL, *words, *record(len(words) + 1, IN_POOL)]
    assert find(stack, TID) == POOL
    assert find(stack, TID + 1) is None
    assert find([IN_POOL, *words], TID) is None


@given(st.binary(max_size=400), st.none() | st.integers(1, 2**22))
def test_no_bytes_are_too_odd(stack: bytes, tid: int | None) -> None:
    assert owner(stack, STACK, tid, MEMORY, lambda address: True) in (None, PYTHON, POOL, OTHER)


@pytest.mark.parametrize(
    ("machine", "code", "is_call"),
    [
        ("x86_64", "e8 11 22 33 44", True),  # call rel32
        ("x86_64", "ff d0", True),  # call rax
        ("x86_64", "41 ff d4", True),  # call r12
        ("x86_64", "ff 53 08", True),  # call [rbx+8]
        ("x86_64", "ff 54 24 08", True),  # call [rsp+8]
        ("x86_64", "ff 15 11 22 33 44", True),  # call [rip+disp32]
        ("x86_64", "ff 94 24 11 22 33 44", True),  # call [rsp+disp32]
        ("x86_64", "ff e0", False),  # jmp rax
        ("x86_64", "90 90 90 90 90 90 90 90", False),
        ("x86_64", "cc cc cc cc cc cc cc c3", False),
        ("aarch64", "01 00 00 94", True),  # bl
        ("aarch64", "20 00 3f d6", True),  # blr x1
        ("aarch64", "20 00 1f d6", False),  # br x1
        ("aarch64", "c0 03 5f d6", False),  # ret
        ("riscv64", "00 00 00 00", True),  # not judged
    ],
)  # fmt: skip
def test_calls(machine: str, code: str, is_call: bool) -> None:
    assert is_return_address(bytes.fromhex(code).rjust(8, b"\0"), machine) is is_call
