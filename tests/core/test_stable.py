"""Who runs which group under ``--dist=stable``, and what moves when a suite changes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.model import Dist, RunOptions
from pytest_procpar.core.run.stable.assignment import assign_groups, capacity_for, divide, weight_of

SIZES = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(1, 400), min_size=1, max_size=60)
WORKERS = st.integers(1, 12)

FILES = {
    "tests/test_api.py": 40, "tests/test_db.py": 12, "tests/test_ui.py": 3, "tests/test_ü.py": 1, "\0port": 7,
}  # fmt: skip


def made_up_suite(seed: int, files: int) -> dict[str, int]:
    """Files with so many tests as real ones tend to have: 15 in the mean, few of them many."""
    chance = random.Random(seed)
    return {f"tests/test_{chance.getrandbits(40):x}.py": size(chance) for _ in range(files)}


def size(chance: random.Random) -> int:
    return max(1, int(chance.lognormvariate(2.2, 1.0)))


# --- the same input, the same assignment ------------------------------------------------------------


def test_the_assignment_is_the_one_that_users_had_before() -> None:
    # A change of these changes everybody's company: it needs a reason, and a line in the changelog.
    answers = {2: [1, 0, 0, 0, 0], 3: [1, 0, 0, 0, 2], 8: [3, 0, 7, 7, 1]}
    for workers, answer in answers.items():
        assert assign_groups(FILES, workers) == dict(zip(FILES, answer, strict=True))


def test_the_assignment_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from pytest_procpar.core.run.stable.assignment import divide;"
        "print(divide([f'test_{i % 37}.py' for i in range(200)], 5))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert said == {f"{divide([f'test_{i % 37}.py' for i in range(200)], 5)}\n"}


@given(SIZES, WORKERS, st.randoms(use_true_random=False))
def test_the_order_of_the_groups_does_not_matter(
    sizes: dict[str, int], workers: int, chance: random.Random
) -> None:
    names = list(sizes)
    chance.shuffle(names)
    assert assign_groups({name: sizes[name] for name in names}, workers) == assign_groups(sizes, workers)


def test_names_that_are_valid_in_no_encoding_have_a_worker() -> None:
    assert assign_groups({"test_\udcff.py": 1}, 1) == {"test_\udcff.py": 0}


# --- what each worker gets --------------------------------------------------------------------------


@given(SIZES, WORKERS, st.randoms(use_true_random=False))
def test_every_test_is_with_one_worker_in_collected_order_and_with_its_group(
    sizes: dict[str, int], workers: int, chance: random.Random
) -> None:
    keys = [name for name, count in sizes.items() for _ in range(count % 9 + 1)]
    chance.shuffle(keys)
    shares = divide(keys, workers)
    assert len(shares) == workers
    assert sorted(test for share in shares for test in share) == list(range(len(keys)))
    assert all(share == sorted(share) for share in shares)
    homes = defaultdict(set)
    for worker, share in enumerate(shares):
        for test in share:
            homes[keys[test]].add(worker)
    assert all(len(workers_of) == 1 for workers_of in homes.values())


@given(SIZES, WORKERS)
def test_no_worker_has_more_than_its_capacity_unless_for_a_group_that_is_large(
    sizes: dict[str, int], workers: int
) -> None:
    weights = {name: weight_of(count) for name, count in sizes.items()}
    share, capacity = sum(weights.values()) / workers, capacity_for(sum(weights.values()), workers)
    groups = defaultdict(list)
    for name, worker in assign_groups(sizes, workers).items():
        groups[worker].append(weights[name])
    for held in groups.values():
        assert sum(held) <= capacity or (max(held) > share / 4 and sum(held) - max(held) <= share)


@given(st.integers(1, 10**7), st.integers(1, 500))
def test_a_capacity_is_a_quarter_above_the_share_and_an_eighth_more_at_most(
    weight: int, workers: int
) -> None:
    share = weight / workers
    assert share * 1.25 <= capacity_for(weight, workers) <= (share * 1.25 + 1) * 1.125


@given(st.integers(1, 10**7))
def test_a_weight_is_the_next_power_of_two(tests: int) -> None:
    weight = weight_of(tests)
    assert weight & (weight - 1) == 0
    assert tests <= weight < 2 * tests


def test_there_are_no_more_workers_than_groups() -> None:
    options = RunOptions(8, Dist.STABLE)
    assert options.workers_for(5, ["a", "a", "b", "b", "c"]) == 3
    assert [len(share) for share in divide(["a", "a"], 3)] == [2, 0, 0]
    assert divide([], 2) == [[], []]


# --- what moves -------------------------------------------------------------------------------------


@given(SIZES, WORKERS, st.data())
def test_nothing_moves_as_long_as_no_weight_changes(
    sizes: dict[str, int], workers: int, data: st.DataObject
) -> None:
    grown = {name: data.draw(st.integers(count, weight_of(count))) for name, count in sizes.items()}
    assert assign_groups(grown, workers) == assign_groups(sizes, workers)


@given(st.text(min_size=1), st.integers(1, 40))
def test_one_more_worker_takes_groups_from_others_and_moves_none_between_them(
    name: str, workers: int
) -> None:
    before, after = (assign_groups({name: 1}, count)[name] for count in (workers, workers + 1))
    assert after in (before, workers)


def one_file_more(suite: dict[str, int], chance: random.Random) -> dict[str, int]:
    return {**suite, "tests/test_new.py": size(chance)}


def eleven_tests_more(suite: dict[str, int], chance: random.Random) -> dict[str, int]:
    (file,) = chance.choices(list(suite), weights=list(suite.values()))
    return {**suite, file: suite[file] + 11}


@pytest.mark.parametrize("change", [one_file_more, eleven_tests_more])
@pytest.mark.parametrize(
    ("files", "workers", "untouched", "mean"), [(40, 4, 0.65, 0.8), (40, 8, 0.6, 1.4), (200, 8, 0.8, 0.5)]
)
def test_a_small_change_moves_few_other_files_or_none(
    change: Callable[[dict[str, int], random.Random], dict[str, int]],
    files: int,
    workers: int,
    untouched: float,
    mean: float,
) -> None:
    # Measured with these seeds; the documentation has the figures.
    moved = []
    for seed in range(200):
        suite = made_up_suite(seed, files)
        before = assign_groups(suite, workers)
        after = assign_groups(change(suite, random.Random(1000 + seed)), workers)
        moved.append(sum(before[file] != after[file] for file in suite))
    assert moved.count(0) / len(moved) >= untouched
    assert sum(moved) / len(moved) <= mean
    assert max(moved) <= 20


def test_the_company_of_nearly_all_files_stays_what_it_was() -> None:
    kept = there = 0
    for seed in range(100):
        suite = made_up_suite(seed, 40)
        before = assign_groups(suite, 8)
        after = assign_groups(eleven_tests_more(suite, random.Random(1000 + seed)), 8)
        pairs = [(a, b) for a in suite for b in suite if a < b and before[a] == before[b]]
        there += len(pairs)
        kept += sum(after[a] == after[b] for a, b in pairs)
    assert kept / there >= 0.93


def test_another_number_of_workers_moves_little_more_than_it_must() -> None:
    moved = 0
    for seed in range(50):
        suite = made_up_suite(seed, 200)
        before, after = assign_groups(suite, 8), assign_groups(suite, 9)
        moved += sum(before[file] != after[file] for file in suite)
    assert moved / (50 * 200) <= 1.3 / 9


def test_workers_have_a_third_more_than_their_share_at_most_in_the_mean() -> None:
    over = []
    for seed in range(100):
        suite = made_up_suite(seed, 200)
        loads = Counter[int]()
        for file, worker in assign_groups(suite, 8).items():
            loads[worker] += suite[file]
        over.append(max(loads.values()) / max(sum(loads.values()) / 8, *suite.values()))
    assert sum(over) / len(over) <= 1.34
