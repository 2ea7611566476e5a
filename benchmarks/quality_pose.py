"""What the check of poses adds to the others, and what it costs: prints, and writes no results."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_segmind.quality.inspect import check_swap
from benchmarks import results
from benchmarks.quality_cost import in_fresh_process, peak_memory
from benchmarks.quality_fetch import fetched, path_of
from benchmarks.quality_people import Base, photographs
from benchmarks.quality_pictures import POSE_MODEL
from benchmarks.quality_scenes import folds
from benchmarks.quality_swaps import pairs
from benchmarks.quality_variants import Pair, encoded, moved

LEAST = (0.3, 0.5, 0.7)
"""Cuts that are tried; the second is the default."""


@dataclass(frozen=True)
class Seen:
    """
    What was said of one pair.

    :param verdict: of the check ``pose``.
    :param oks: its value, if it was made.
    :param why: its words.
    :param others: how many other checks failed.
    """

    variant: str
    verdict: str
    oks: float | None
    why: str
    others: int


def judged(pair: Pair, model: Path) -> Seen:
    """Check one pair with everything there is."""
    report = check_swap(pair.source, pair.result, pair.reference, qa=True, pose_model=model)
    pose = next(check for check in report.checks if check.name == "pose")
    oks = None if pose.value is None else float(pose.value)
    return Seen(pair.variant, pose.verdict, oks, pose.why, len({check.name for check in report.failed} - {"pose"}))


def table(seen: Sequence[Seen]) -> str:
    """Return one line for each variant."""
    rows = []
    for variant in dict.fromkeys(one.variant for one in seen):
        own = [one for one in seen if one.variant == variant]
        values = sorted(one.oks for one in own if one.oks is not None)
        spread = f"{values[0]:.2f}, {statistics.median(values):.2f}, {values[-1]:.2f}" if values else "-"
        below = [str(sum(value < least for value in values)) for least in LEAST]
        alone = str(sum(one.verdict == "fail" and not one.others for one in own))
        others = str(sum(bool(one.others) for one in own))
        rows.append((variant, str(len(own)), others, str(len(values)), spread, *below, alone))
    head = ("what", "number", "stopped by others", "pose judged", "OKS: lowest, median, highest")
    return results.table((*head, *(f"below {least:g}" for least in LEAST), "stopped by pose alone"), rows)


def skipped(seen: Iterable[Seen]) -> str:
    """Return why the check was not made, with how often."""
    counts = Counter(one.why for one in seen if one.verdict == "skipped")
    return "\n".join(f"- {count}: {why}" for why, count in counts.most_common()) or "None."


def cost(base: Base, model: Path, runs: int = 3) -> str:
    """Return a table of what one pair costs in fresh processes, with and without poses."""
    source, result = (encoded(base.picture, quality) for quality in (95, 80))
    folder = model.parent
    paths = [folder / "pose-source.jpg", folder / "pose-result.jpg"]
    for path, data in zip(paths, (source, result), strict=True):
        path.write_bytes(data)
    rows = []
    for name, given in (("without", ""), ("with", str(model))):
        seen = [in_fresh_process("benchmarks.quality_pose", *paths, given) for _ in range(runs)]
        keys = ("first", "next", "memory")
        rows.append((name, *(results.spread([one[key] for one in seen]) for key in keys)))
    return results.table(("poses", "s, first in a process", "s, next (median of 10)", "MiB at most"), rows)


def _in_this_process(source: str, result: str, model: str) -> dict[str, float]:
    before, after = Path(source).read_bytes(), Path(result).read_bytes()
    seconds = []
    for _ in range(11):
        began = time.perf_counter()
        check_swap(before, after, qa=True, pose_model=Path(model) if model else None)
        seconds.append(time.perf_counter() - began)
    return {"first": seconds[0], "next": statistics.median(seconds[1:]), "memory": peak_memory()}


def main() -> None:
    """Measure and print."""
    fetched(POSE_MODEL)
    model, bases = path_of(POSE_MODEL), photographs()
    swaps = [judged(pair, model) for part in folds(bases) for pair in pairs(part)]
    kept = [judged(pair, model) for base in bases for pair in moved(base)]
    for text in (results.machine(), table(swaps), skipped(swaps), table(kept), skipped(kept), cost(bases[0], model)):
        print(text, end="\n\n", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_in_this_process(*sys.argv[1:])))
    else:
        main()
