"""What the checks say of each variant, and the tables of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airflow_provider_segmind.quality.inspect import check_input, check_swap
from airflow_provider_segmind.quality.report import Report
from benchmarks import results
from benchmarks.quality_people import Base
from benchmarks.quality_variants import BAD, GOOD, NAMES, Pair, pairs

HALVES = ("tuning", "held out")


@dataclass(frozen=True)
class Outcome:
    """
    What became of one picture or pair.

    :param base: which picture it was made of.
    :param variant: what was done to it.
    :param half: one of ``HALVES``.
    :param core: the checks that failed without models.
    :param qa: the checks that failed with models, ``None`` when they are not there.
    """

    base: str
    variant: str
    half: str
    core: tuple[str, ...]
    qa: tuple[str, ...] | None


def halves(bases: Sequence[Base]) -> list[tuple[str, list[Base]]]:
    """Return the bases in two halves, which alternate by name, so that nobody chose which is which."""
    ordered = sorted(bases, key=lambda base: base.name)
    return list(zip(HALVES, (ordered[::2], ordered[1::2]), strict=True))


def all_pairs(bases: Sequence[Base]) -> Iterable[tuple[str, Pair]]:
    """Make every pair, with its half; persons and backgrounds come from the same half."""
    for half, own in halves(bases):
        references = [base for base in own if base.reference]
        for number, base in enumerate(own):
            others = [other for other in references if other.who != base.who] or references
            person, second = (others[(number + step) % len(others)] for step in (0, 1))
            elsewhere = own[(number + 1) % len(own)]
            for pair in pairs(base, person, second, elsewhere):
                yield half, pair


def judged(half: str, pair: Pair, *, qa: bool) -> Outcome:
    """
    Check one pair.

    :param qa: also with models.
    """

    def failed(models: bool) -> tuple[str, ...]:
        return _failed(check_swap(pair.source, pair.result, pair.reference, qa=models))

    return Outcome(pair.base, pair.variant, half, failed(False), failed(True) if qa else None)


def input_judged(name: str, kind: str, picture: bytes, *, qa: bool) -> Outcome:
    """
    Check one picture as the scene of a swap.

    :param kind: what it shows.
    :param qa: also with models.
    """

    def failed(models: bool) -> tuple[str, ...]:
        return _failed(check_input(picture, qa=models))

    return Outcome(name, kind, "", failed(False), failed(True) if qa else None)


def _failed(report: Report) -> tuple[str, ...]:
    return tuple(check.name for check in report.failed)


def variants_table(outcomes: Sequence[Outcome]) -> str:
    """Return one line for each variant."""
    return _table([name for name in NAMES if any(outcome.variant == name for outcome in outcomes)], outcomes)


def inputs_table(outcomes: Sequence[Outcome]) -> str:
    """Return one line for each kind of picture."""
    return _table(list(dict.fromkeys(outcome.variant for outcome in outcomes)), outcomes)


def _table(names: Iterable[str], outcomes: Sequence[Outcome]) -> str:
    rows = []
    for name in names:
        own = [outcome for outcome in outcomes if outcome.variant == name]
        core, qa = stopped(own)
        counts = Counter(check for outcome in own for check in (outcome.core if outcome.qa is None else outcome.qa))
        which = ", ".join(f"{check} {count}" for check, count in counts.most_common()) or "-"
        rows.append((name, str(len(own)), str(core), _shown(qa), which))
    return results.table(("what", "number", "stopped by core", "by core + qa", "which checks failed"), rows)


def totals_table(outcomes: Sequence[Outcome]) -> str:
    """Return how many good and bad results were stopped, in each half and in all."""
    rows = []
    for half in (*HALVES, "both"):
        for kind, names in (("good", GOOD), ("bad", BAD)):
            own = [one for one in outcomes if one.variant in names and half in (one.half, "both")]
            core, qa = stopped(own)
            rows.append((half, kind, str(len(own)), _part(core, len(own)), _part(qa, len(own))))
    return results.table(("half", "results", "number", "stopped by core", "by core + qa"), rows)


def stopped(outcomes: Sequence[Outcome]) -> tuple[int, int | None]:
    """Return how many core stopped, and how many core and models together; ``None`` when there are no models."""
    core = sum(bool(outcome.core) for outcome in outcomes)
    if any(outcome.qa is None for outcome in outcomes):
        return core, None
    return core, sum(bool(outcome.qa) for outcome in outcomes)


def false_alarms(outcomes: Sequence[Outcome]) -> str:
    """Return each good result that was stopped, with what stopped it."""
    lines = [
        f"- {outcome.base}, {outcome.variant} ({outcome.half}): {', '.join(outcome.qa or outcome.core)}"
        for outcome in outcomes
        if outcome.variant in GOOD and (outcome.qa or outcome.core)
    ]
    return "\n".join(lines) or "None."


def _shown(count: int | None) -> str:
    return "-" if count is None else str(count)


def _part(count: int | None, total: int) -> str:
    return "-" if count is None else f"{count} ({count / total:.0%})"
