"""The medians of all runs as a table, and its place in results.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.goals import BATCH as BATCH_TASK
from benchmarks.goals import BATCH_GOAL, TASK, TASK_GOAL
from benchmarks.overhead_patterns import BATCH, LEAST, ONE_TASK, PEER, SETTLE, Measured, Pattern
from benchmarks.results import Goal

_COLUMNS = (
    "pattern",
    "wall s (min-max)",
    "overhead s",
    "less than (a)",
    "CPU s per swap",
    "less than (a)",
    "starts per swap",
    "lost resumes",
    "failed tasks",
)


def section(runs: Sequence[Measured], idle: float) -> str:
    """
    Write the section.

    :param runs: all runs, of the peer as well.
    :param idle: seconds of processor time for each second in which nothing is to be done.
    :returns: Markdown, with its heading.
    """
    swaps = runs[0].swaps
    by_pattern: dict[Pattern, list[Measured]] = {}
    for run in runs:
        by_pattern.setdefault(run.pattern, []).append(run)
    rounds = min(len(own) for own in by_pattern.values())
    rows = [_row(own, by_pattern.get(PEER, [])) for own in by_pattern.values()]
    table = "\n".join("| " + " | ".join(row) + " |" for row in [_COLUMNS, ("---",) * len(_COLUMNS), *rows])
    parts = "\n".join(_parts(own) for own in by_pattern.values())
    names = list(runs[0].cpu)
    heads = "\n".join(
        "| " + " | ".join(row) + " |" for row in [("CPU s of a run", *names), ("---",) * (len(names) + 1)]
    )
    return (
        "## Airflow's overhead\n\n"
        f"{swaps} swaps a run, jobs of 5 s, Airflow 3.3 on PostgreSQL, LocalExecutor with `parallelism` 8."
        f" All patterns in one session, interleaved, {rounds} rounds; medians. *Overhead* is the wall time beyond the"
        " 5 s of the jobs."
        " CPU is that of all of Airflow's processes and of PostgreSQL, idling included:"
        f" {idle:.3f} s for each second in which nothing is to be done. (a) has no network at all, so it is as cheap as"
        " can be; ours order and poll over HTTP. *Preloaded*: see docs/scaling.md.\n\n"
        f"{table}\n\n{heads}\n{parts}\n"
    )


def goals(runs: Sequence[Measured], idle: float) -> list[Goal]:
    """Compare what the table of goals has of it with what was aimed for."""
    swaps = runs[0].swaps
    least, task, batch = (
        _median([run for run in runs if run.pattern is pattern], lambda run: run.cpu_per_swap)
        for pattern in (LEAST, ONE_TASK, BATCH)
    )
    # What Airflow takes while nothing is to be done, as long as the batch lasts.
    floor = idle * _median([run for run in runs if run.pattern is BATCH], lambda run: run.wall + SETTLE) / swaps
    return [
        Goal(
            f"{TASK}, {swaps} on PostgreSQL",
            f"<= {TASK_GOAL} x",
            f"{task / least:.2f} x ({task:.3f} to {least:.3f})",
            task <= TASK_GOAL * least,
        ),
        Goal(
            f"{BATCH_TASK}, {swaps} on PostgreSQL",
            f"<= {BATCH_GOAL}",
            f"{batch:.4f} ({floor:.4f} of it an idle Airflow)",
            batch <= BATCH_GOAL,
        ),
    ]


def _row(own: Sequence[Measured], peer: Sequence[Measured]) -> tuple[str, ...]:
    walls = [run.wall for run in own]
    overhead, cpu = _median(own, lambda run: run.overhead), _median(own, lambda run: run.cpu_per_swap)
    resumes = sum(run.resumes for run in own)
    return (
        own[0].pattern.title,
        f"{median(walls):.1f} ({min(walls):.1f}-{max(walls):.1f})",
        f"{overhead:.1f}",
        _ratio(peer, lambda run: run.overhead, overhead),
        f"{cpu:.4f}",
        _ratio(peer, lambda run: run.cpu_per_swap, cpu),
        f"{_median(own, lambda run: run.starts / run.swaps):.3g}",
        f"{sum(run.lost for run in own)} of {resumes}" if resumes else "none to lose",
        f"{sum(run.failed for run in own)}",
    )


def _parts(own: Sequence[Measured]) -> str:
    names = list(own[0].cpu)
    cells = [f"{median(run.cpu.get(name, 0.0) for run in own):.2f}" for name in names]
    return "| " + " | ".join([own[0].pattern.title, *cells]) + " |"


def _ratio(peer: Sequence[Measured], of: Callable[[Measured], float], own: float) -> str:
    return f"{_median(peer, of) / own:.1f}x" if peer else "-"


def _median(runs: Sequence[Measured], of: Callable[[Measured], float]) -> float:
    return median(map(of, runs))
