"""
What the parsing of a DAG file costs more for what it imports: ``python -m benchmarks --only parsing``.

Airflow parses each DAG file in a new process, again and again. So each import is timed in a new process that has
``airflow.sdk`` already, in turns; the figures are medians.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.results import Goal, table

GOAL = 0.02
"""CPU seconds that importing all operators and sensors may add."""
OURS = "all operators, sensors and `@task.body_swap`"
IMPORTS: Mapping[str, Sequence[str]] = {
    OURS: tuple(
        f"airflow_provider_segmind.{door}"
        for door in (
            *("operators.body_swap", "operators.pixelflow", "operators.quality", "operators.memory"),
            *("sensors.body_swap", "transfers.object_storage", "decorators.body_swap"),
        )
    ),
    "what they import when a task runs": tuple(
        f"airflow_provider_segmind.tasks.{name}" for name in ("batch", "check", "store", "swap", "wait")
    ),
    "`HttpHook`": ("airflow.providers.http.hooks.http",),
    "`HttpOperator`": ("airflow.providers.http.operators.http",),
}
_CODE = """
import importlib, sys, time
import airflow.sdk
from airflow.sdk import BaseHook, BaseOperator, BaseSensorOperator, Context, XComArg
import airflow.sdk.bases.decorator
modules, began = len(sys.modules), time.process_time()
for name in sys.argv[1:]:
    importlib.import_module(name)
print(time.process_time() - began, len(sys.modules) - modules)
"""


def timed(modules: Sequence[str]) -> tuple[float, int]:
    """Return the CPU seconds, and the number of modules, that importing some costs in a new process."""
    command = (sys.executable, "-W", "ignore", "-c", _CODE, *modules)
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(said[-2]), int(said[-1])


def measure(rounds: int) -> dict[str, tuple[float, int]]:
    """Return for each kind of import the median of its CPU seconds, and its number of modules."""
    seen: dict[str, list[tuple[float, int]]] = {name: [] for name in IMPORTS}
    for _ in range(rounds):
        for name, modules in IMPORTS.items():
            seen[name].append(timed(modules))
    return {name: (median(seconds for seconds, _ in runs), runs[0][1]) for name, runs in seen.items()}


def section(found: Mapping[str, tuple[float, int]], rounds: int) -> str:
    """Return the table."""
    ours, _ = found[OURS]
    rows = [(name, f"{cost:.3f}", f"{cost / ours:.1f} x", str(many)) for name, (cost, many) in found.items()]
    said = f"CPU seconds that an import adds to `airflow.sdk` in a new process; medians of {rounds} rounds, in turns."
    return f"## Parsing a DAG file\n\n{said}\n\n{table(('import', 'CPU s', 'to ours', 'modules'), rows)}"


def goal(found: Mapping[str, tuple[float, int]]) -> Goal:
    """Compare with what was aimed for."""
    ours, hook = found[OURS][0], found["`HttpHook`"][0]
    measured = f"{ours:.3f} (HttpHook alone {hook:.3f})"
    return Goal("CPU s that importing the operators adds to `airflow.sdk`", f"<= {GOAL}", measured, ours <= GOAL)
