"""What the checks say of each pair, and the tables of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from airflow_provider_segmind.quality.inspect import CORE_SWAP, check_input, check_swap
from airflow_provider_segmind.quality.report import ORDER
from benchmarks import results
from benchmarks.quality_bad import BAD, HELD_OUT
from benchmarks.quality_good import GOOD
from benchmarks.quality_people import Base
from benchmarks.quality_swaps import pairs
from benchmarks.quality_variants import Pair

NAMES = (*GOOD, *BAD)
PROCESSES = 2
_CORE = ("readable", *CORE_SWAP)
_WORST = "pass"
Said = Mapping[str, tuple[str, Any]]
"""Verdict and value of each check."""


@dataclass(frozen=True)
class Outcome:
    """
    What became of one picture or pair.

    :param base: which picture it was made of.
    :param variant: what was done to it.
    :param fold: which part of the scenes it is of.
    :param checks: what each check said.
    """

    base: str
    variant: str
    fold: int
    checks: Said = field(hash=False)
    framing: str = ""
    style: str = ""

    @property
    def verdict(self) -> str:
        """The worst verdict of all checks."""
        return worst(self.checks)

    @property
    def core(self) -> str:
        """The worst verdict of those that need no model."""
        return worst({name: said for name, said in self.checks.items() if name in _CORE})

    @property
    def is_good(self) -> bool:
        """Whether a person would take it."""
        return self.variant in GOOD


def worst(checks: Said) -> str:
    """Return the worst verdict."""
    return max((verdict for verdict, _ in checks.values() if verdict in ORDER), key=ORDER.index, default=_WORST)


def judged(fold: int, pair: Pair, *, qa: bool) -> Outcome:
    """Check one pair; ``qa``: also with models."""
    report = check_swap(pair.source, pair.result, pair.reference, qa=qa)
    said: Said = {check.name: (check.verdict, check.value) for check in report.checks}
    return Outcome(pair.base, pair.variant, fold, said, pair.framing, pair.style)


def input_judged(name: str, kind: str, picture: bytes, *, qa: bool) -> Outcome:
    """Check one picture as the scene of a swap; ``kind``: what it shows."""
    report = check_input(picture, qa=qa)
    return Outcome(name, kind, 0, {check.name: (check.verdict, check.value) for check in report.checks})


def all_judged(
    parts: Sequence[Sequence[Base]], *, qa: bool, processes: int = PROCESSES, turns: int = 1
) -> list[Outcome]:
    """
    Make and check the pairs of every fold.

    :param processes: how many to use; 0: this one.
    :param turns: as for :func:`benchmarks.quality_swaps.pairs`.
    """
    work = [(fold, base, part) for fold, part in enumerate(parts) for base in part]
    scene = partial(_scene, qa=qa, turns=turns)
    if not processes:
        return [outcome for one in work for outcome in scene(one)]
    outcomes = []
    with ProcessPoolExecutor(processes) as pool:
        for number, made in enumerate(pool.map(scene, work), 1):
            outcomes += made
            print(f"{number} of {len(work)} scenes judged", flush=True)
    return outcomes


def _scene(work: tuple[int, Base, Sequence[Base]], *, qa: bool, turns: int) -> list[Outcome]:
    fold, base, part = work
    return [judged(fold, pair, qa=qa) for pair in pairs(part, base.name, turns)]


def totals_table(outcomes: Sequence[Outcome]) -> str:
    """Return how many good and bad results were stopped, and of the kinds that were held out."""
    groups: tuple[tuple[str, Callable[[Outcome], bool]], ...] = (
        ("good", lambda one: one.is_good),
        ("bad", lambda one: not one.is_good),
        ("bad, of a kind that was held out", lambda one: one.variant in HELD_OUT),
    )
    return _table([(name, [one for one in outcomes if belongs(one)]) for name, belongs in groups], checks=False)


def variants_table(outcomes: Sequence[Outcome]) -> str:
    """Return one line for each kind."""
    return _table([(name, [one for one in outcomes if one.variant == name]) for name in NAMES])


def framings_table(outcomes: Sequence[Outcome]) -> str:
    """Return one line for each framing, of good and of bad ones."""
    rows = []
    for framing in sorted({one.framing for one in outcomes}):
        own = [one for one in outcomes if one.framing == framing]
        rows += [
            (f"{framing}, {kind}", [one for one in own if one.is_good == (kind == "good")]) for kind in ("good", "bad")
        ]
    return _table(rows, checks=False)


def inputs_table(outcomes: Sequence[Outcome]) -> str:
    """Return one line for each kind of picture."""
    kinds = dict.fromkeys(one.variant for one in outcomes)
    return _table([(kind, [one for one in outcomes if one.variant == kind]) for kind in kinds])


def _table(groups: Iterable[tuple[str, Sequence[Outcome]]], *, checks: bool = True) -> str:
    rows = []
    for name, own in groups:
        if not own:
            continue
        counts = Counter(check for one in own for check, said in one.checks.items() if said[0] in ("review", "fail"))
        shown = tuple(
            _part(sum(one.verdict in wanted for one in own), len(own)) for wanted in (("fail",), ("fail", "review"))
        )
        core = _part(sum(one.core in ("fail", "review") for one in own), len(own))
        which = ", ".join(f"{check} {count}" for check, count in counts.most_common(5)) or "-"
        rows.append((name, str(len(own)), core, *shown, *((which,) if checks else ())))
    head = ("what", "number", "core: fail or review", "with models: fail", "fail or review")
    return results.table((*head, *(("which checks, the five most frequent",) if checks else ())), rows)


def false_alarms(outcomes: Sequence[Outcome]) -> str:
    """Return each good result that did not pass, with what stopped it."""
    lines = []
    for one in outcomes:
        stopped = [f"{check} {said[0]}" for check, said in one.checks.items() if said[0] in ("review", "fail")]
        if one.is_good and stopped:
            lines.append(f"- {one.base}, {one.style}, {one.variant}: {', '.join(stopped)}")
    return "\n".join(lines) or "None."


def _part(count: int, total: int) -> str:
    return f"{count} ({count / total:.1%})"
