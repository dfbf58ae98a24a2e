"""Draws what `python -m benchmarks --json FILE` has measured.

pip install matplotlib
python -m benchmarks.plot FILE docs/images/benchmarks.svg
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypedDict

from benchmarks.contenders import BASE, OURS
from benchmarks.stats import Metric, paired_ratio
from benchmarks.suites import CASES

__all__ = ["Bar", "bars"]

_COLUMNS = 2
_OURS, _OTHERS, _TEXT = "#2f6f4e", "#a9b4bf", "#767c85"  # readable on white and on near black


class _Series(TypedDict):
    """One contender's figures in one case, as in the file: seconds or bytes by round."""

    values: Mapping[Metric, Mapping[str, float]]
    failure: str


class Bar(NamedTuple):
    """One contender in one case: wall and processor time as ratios to plain pytest in the same rounds."""

    name: str
    wall: float
    cpu: float


def bars(by_name: Mapping[str, _Series]) -> list[Bar]:
    """Everybody who has figures, plain pytest included, the quickest first."""
    base = by_name[BASE]["values"]
    found = []
    for name, series in by_name.items():
        wall, cpu = (
            paired_ratio(_rounds(series["values"][metric]), _rounds(base[metric]))
            for metric in ("wall", "cpu")
        )
        if wall is not None and cpu is not None and not series["failure"]:
            found.append(Bar("plain pytest" if name == BASE else name, wall.median, cpu.median))
    return sorted(found, key=lambda bar: bar.wall)


def _rounds(values: Mapping[str, float]) -> dict[int, float]:
    return {int(number): value for number, value in values.items()}


def draw(cases: Mapping[str, Mapping[str, _Series]], target: Path) -> None:
    """One panel a case: a bar for wall time, a mark for processor time."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    # Text stays text, and the same figures give the same file.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "procpar", "font.family": "sans-serif"})
    mpl.rcParams.update(dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _TEXT))
    rows = -(-len(cases) // _COLUMNS)
    figure, axes = plt.subplots(rows, _COLUMNS, figsize=(10, 2.4 * rows), squeeze=False)
    for panel in axes.flat[len(cases) :]:
        panel.axis("off")
    for panel, (name, by_name) in zip(axes.flat, cases.items(), strict=False):
        shown = bars(by_name)[::-1]
        places = range(len(shown))
        colors = [_OURS if bar.name == OURS else _OTHERS for bar in shown]
        panel.barh(places, [bar.wall for bar in shown], color=colors, height=0.7)
        panel.plot([bar.cpu for bar in shown], places, "|", color=_TEXT, markersize=9, markeredgewidth=2)
        panel.axvline(1, color=_TEXT, linewidth=0.8, linestyle=":")
        panel.set_yticks(places, [f"{bar.name}  {bar.wall:.2f}" for bar in shown], fontsize=8)
        panel.tick_params(axis="x", labelsize=8)
        panel.set_title(f"{CASES[name].title} (-n {CASES[name].workers})", fontsize=9, loc="left")
        panel.spines[["top", "right", "left", "bottom"]].set_visible(False)
        panel.tick_params(length=0)
    figure.text(0.01, 0.005, "bar: wall time, mark: processor time; plain pytest is 1", fontsize=8)
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(target, transparent=True, metadata={"Date": None})


def main(arguments: list[str]) -> int:
    """Draw one file. 0: done; 2: wrong usage."""
    if len(arguments) != 2:
        print("usage: python -m benchmarks.plot FILE.json TARGET.svg", file=sys.stderr)
        return 2
    source, target = map(Path, arguments)
    try:
        cases = json.loads(source.read_text(encoding="utf-8"))["cases"]
    except (OSError, ValueError, KeyError) as error:
        print(f"{source}: not a file of `python -m benchmarks --json`: {error!r}", file=sys.stderr)
        return 2
    draw(cases, target)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
