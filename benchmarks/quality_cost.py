"""What it costs to check one pair of large pictures, each time in a fresh process."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_segmind.quality.inspect import check_swap
from benchmarks import results
from benchmarks.quality_people import drawings
from benchmarks.quality_variants import encoded

LARGE = (4000, 3000)
KINDS = (("JPEG", "JPEG"), ("PNG", "PNG"), ("WEBP", "WEBP"), ("JPEG", "PNG"))
ABOUT = (
    "One pair of 4000 x 3000 pixels, drawn with noise; every figure from fresh processes, the time as median "
    "(lowest-highest), in seconds of CPU, so that what else runs does not count. The first check in a process also "
    "imports Pillow, and with qa loads the models."
)
LARGEST: tuple[tuple[int, int], tuple[tuple[str, dict[str, Any]], ...]] = (
    (8000, 6000),
    (
        ("PNG", {}),
        ("WEBP", {"method": 0}),
        ("WEBP", {"lossless": True, "method": 0, "quality": 0}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"progressive": True, "subsampling": 0}),
        ("AVIF", {"speed": 10}),
    ),
)
"""Width and height, and the formats with their options, of what the default ``max_pixels`` admits."""
_MOST_MEMORY = 350
_MOST_SECONDS = {("core", "JPEG"): 0.2, ("core", ""): 0.6, ("core + qa", "JPEG"): 0.5, ("core + qa", ""): 0.5}


@dataclass(frozen=True)
class Cost:
    """
    What one kind of pair cost.

    :param kinds: formats of source and result.
    :param sizes: MB of source and result.
    :param layers: ``core`` or ``core + qa``.
    :param first: seconds of the first check in each process, with all imports and models.
    :param second: seconds of the second one.
    :param memory: MiB at most in use by each process, Python and all.
    """

    kinds: tuple[str, str]
    sizes: tuple[float, float]
    layers: str
    first: list[float]
    second: list[float]
    memory: list[float]


def measured(folder: Path, *, qa: bool, size: tuple[int, int] = LARGE, runs: int = 3) -> list[Cost]:
    """
    Draw a pair, write it in every format, and check it.

    :param folder: where the files go.
    :param qa: also with models.
    :param size: width and height in pixels.
    :param runs: number of processes for each.
    """
    before, after = (base.picture for base in drawings(2, size))
    # Outside of the middle they are one picture, as they are after a swap.
    edge = size[0] // 4
    after.paste(before.crop((0, 0, edge, size[1])), (0, 0))
    after.paste(before.crop((3 * edge, 0, *size)), (3 * edge, 0))
    for kind in sorted({kind for pair in KINDS for kind in pair}):
        for name, picture in (("source", before), ("result", after)):
            file_of(folder, name, kind).write_bytes(encoded(picture, 92, kind))
    costs = []
    for kinds in KINDS:
        for layers in ("core", "core + qa") if qa else ("core",):
            paths = file_of(folder, "source", kinds[0]), file_of(folder, "result", kinds[1])
            seen = [in_fresh_process("benchmarks.quality_cost", *paths, layers) for _ in range(runs)]
            sizes = (paths[0].stat().st_size / 1e6, paths[1].stat().st_size / 1e6)
            costs.append(
                Cost(kinds, sizes, layers, *([run[key] for run in seen] for key in ("first", "second", "memory")))
            )
            print(_row(costs[-1]), flush=True)
    return costs


def largest(folder: Path, *, qa: bool) -> str:
    """Return a table of what pairs of 48 million pixels take, in fresh processes: a small result of a large source."""
    size, kinds = LARGEST
    base = drawings(1, LARGE)[0].picture
    result = folder / "small.jpg"
    result.write_bytes(encoded(base.resize((1600, 1200))))
    large, rows = base.resize(size), []
    for kind, options in kinds:
        source = folder / f"large.{kind.lower()}"
        large.save(source, kind, **options)
        seen = in_fresh_process("benchmarks.quality_cost", source, result, "core + qa" if qa else "core")
        said = "checked" if seen["read"] else "refused"
        shown = ", ".join(f"{name} {value}" for name, value in options.items())
        rows.append((f"{kind} {shown}".strip(), f"{source.stat().st_size / 1e6:.1f}", said, f"{seen['memory']:.0f}"))
        source.unlink()
    return results.table(("source of 8000 x 6000", "MB", "it was", "MiB at most"), rows)


def file_of(folder: Path, name: str, kind: str) -> Path:
    """Return where ``source`` or ``result`` is kept in a format."""
    return folder / f"{name}.{kind.lower()}"


def table(costs: list[Cost]) -> str:
    """Return the costs as a table in Markdown."""
    head = ("source + result", "layers", "s, first in a process", "s, second", "MiB at most")
    return results.table(head, [_row(cost) for cost in costs])


def goals(costs: list[Cost]) -> list[results.Goal]:
    """Compare the costs with what was aimed for."""
    made = []
    for layers in dict.fromkeys(cost.layers for cost in costs):
        for kind, what in (("JPEG", "JPEG + JPEG"), ("", "other formats")):
            own = [cost for cost in costs if cost.layers == layers and (cost.kinds == ("JPEG", "JPEG")) == bool(kind)]
            most = _MOST_SECONDS[layers, kind]
            first, second = (
                max(statistics.median(cost.first) for cost in own),
                max(statistics.median(cost.second) for cost in own),
            )
            shown = f"{first:.2f}; {second:.2f} from the second one on"
            made.append(results.Goal(f"s for a pair, {layers}, {what}", f"<= {most:g}", shown, first <= most))
    memory = max(max(cost.memory) for cost in costs)
    made.append(
        results.Goal("MiB of a process, any of them", f"<= {_MOST_MEMORY}", f"{memory:.0f}", memory <= _MOST_MEMORY)
    )
    return made


def _row(cost: Cost) -> tuple[str, ...]:
    kinds = " + ".join(f"{kind} ({size:.1f} MB)" for kind, size in zip(cost.kinds, cost.sizes, strict=True))
    return kinds, cost.layers, results.spread(cost.first), results.spread(cost.second), f"{max(cost.memory):.0f}"


def in_fresh_process(module: str, *arguments: object) -> dict[str, float]:
    """Return the JSON object that a module, run as a program, prints last."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _check_twice(source: str, result: str, layers: str) -> dict[str, float]:
    before, after = Path(source).read_bytes(), Path(result).read_bytes()
    seconds, read = [], False
    for _ in range(2):
        began = time.process_time()
        read = check_swap(before, after, qa=layers != "core").checks[0].verdict == "pass"
        seconds.append(time.process_time() - began)
    return {"first": seconds[0], "second": seconds[1], "memory": peak_memory(), "read": read}


def peak_memory() -> float:
    """Return the MiB that this process had in use at most."""
    # Not ru_maxrss: a child that was started with vfork also counts what its parent had in use.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    most = re.search(r"VmHWM:\s+(\d+) kB", status)
    if not most:
        raise RuntimeError(f"The kernel does not tell the peak of memory: {status}")
    return int(most[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(_check_twice(*sys.argv[1:])))
