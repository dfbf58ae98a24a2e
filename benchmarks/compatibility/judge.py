"""Whether a case is the same with plain pytest and in parallel, and what is said when it is not.

Pure: what `run` has found goes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.compatibility.cases import Case
from benchmarks.compatibility.run import Round
from benchmarks.compatibility.views import difference
from benchmarks.downstream.compare import compare, summary_counts
from benchmarks.downstream.report import comparison_text, counts_text

__all__ = ["Verdict", "judge"]

_TAIL = 40  # lines of output under a case that is none


@dataclass
class Verdict:
    """What was found about a case.

    Attributes:
        case: Which.
        version: Of the distribution.
        error: Why it could not be run at all, or is no case; else empty.
        outcomes: What differs in the outcomes of tests, status and counts, in words.
        outputs: What differs in what the plugin writes, in words.
        explained: The differences that are known.
        outcomes_explained: Whether outcomes differ in a way that is known.
        outputs_explained: Whether outputs do.
        start_methods: Those seen.
    """

    case: Case
    version: str = ""
    error: str = ""
    outcomes: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    explained: list[str] = field(default_factory=list)
    outcomes_explained: bool = False
    outputs_explained: bool = False
    start_methods: set[str] = field(default_factory=set)

    def explain(self, text: str) -> None:
        """Note a difference that is known, once."""
        if text not in self.explained:
            self.explained.append(text)

    @property
    def good(self) -> bool:
        """Whether it ran and all runs were equal, started in the way that is expected."""
        return not (self.error or self.outcomes or self.outputs or self.strayed)

    @property
    def strayed(self) -> set[str]:
        """The start methods that are not the expected one."""
        return self.start_methods - {self.case.start_method}

    def text(self) -> str:
        """All of it, for a terminal."""
        head = f"{self.case.name} ({self.case.distribution} {self.version})"
        if self.error:
            return f"{head}: {self.error}"
        lines = [*self.outcomes, *self.outputs]
        if self.strayed:
            lines.append(f"  start method {', '.join(self.strayed)}, expected {self.case.start_method}")
        lines += [f"  explained: {text}" for text in self.explained]
        return "\n".join([f"{head}: {'equal' if self.good else 'DIFFERENT'}", *lines])


def judge(verdict: Verdict, options: str, plain: Sequence[Round], parallel: Sequence[Round]) -> None:
    """Add to ``verdict`` what a run with ``options`` and a plain one do not have in common."""
    for number, (before, after) in enumerate(zip(plain, parallel, strict=True)):
        expected = summary_counts(f"{verdict.case.summary[number]} in 0s")
        found = dict(before.run.summary)
        if found != expected:
            tail = "\n".join(before.text.splitlines()[-_TAIL:])
            verdict.error = f"plain pytest counts {counts_text(found)}, not {counts_text(expected)}:\n{tail}"
            return
        name = f"{options or 'plain'}, round {number + 1}" if len(plain) > 1 else options
        compared = compare(before.run, after.run)
        if not compared.equal and verdict.case.explained:
            verdict.explain(verdict.case.explained)
            verdict.outcomes_explained = True
        elif not compared.equal:
            verdict.outcomes.append(comparison_text(name, compared))
        verdict.start_methods.add(after.start_method)
        for output, lines in before.views.items():
            if not lines or lines[0].startswith("there is no "):
                verdict.error = f"round {number + 1}: plain pytest has left nothing to compare: {output.name}"
                return
            text = difference(lines, after.views[output])
            if text and output.explained:
                verdict.explain(output.explained)
                verdict.outputs_explained = True
            elif text:
                verdict.outputs.append(f"  {name}: {output.name} differs\n{text}")
