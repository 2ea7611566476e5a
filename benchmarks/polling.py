"""
What it costs to wait for thousands of jobs: this provider beside others, in one run: ``python -m benchmarks.polling``.

``--quick`` runs everything small and writes nothing.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import trustme

from benchmarks.results import write_section

Run = Mapping[str, float]
PACKAGES = ("apache-airflow", "apache-airflow-providers-http", "aiohttp", "requests", "segmind")


@dataclass(frozen=True)
class Stage:
    """
    One table of the report.

    :param title: its heading.
    :param jobs: jobs that wait at once.
    :param factor: by which all times are scaled.
    :param variants: what is compared.
    :param rounds: how often each of them runs.
    """

    title: str
    jobs: int
    factor: float
    variants: tuple[str, ...]
    rounds: int = 3


STAGES = (
    Stage(
        *("100 jobs, times scaled by 0.1", 100, 0.1),
        ("null", "ours", "http_sensor", "per_trigger", "documented", "sdk"),
    ),
    Stage("1,000 jobs, times scaled by 0.2", 1000, 0.2, ("null", "ours", "http_sensor", "per_trigger", "limit")),
    Stage("5,000 jobs in real time, 45 s at most", 5000, 1.0, ("null", "ours", "http_sensor")),
    Stage("10,000 jobs in real time, 45 s at most", 10_000, 1.0, ("null", "ours"), 1),
)
QUICK = (Stage("quick", 20, 0.02, ("null", "ours", "http_sensor", "per_trigger", "limit", "documented", "sdk"), 1),)


@contextmanager
def server(jobs: int, factor: float, pending: int, folder: Path) -> Iterator[int]:
    """Start the server in a process of its own; give its port."""
    command = ("-m", "benchmarks.polling_server", str(jobs), str(factor), str(folder / "server.pem"), str(pending))
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def run(variant: str, stage: Stage, folder: Path) -> Run:
    """Run one variant once, in fresh processes."""
    with server(stage.jobs, stage.factor, 404 if variant == "http_sensor" else 200, folder) as port:
        env = {
            **os.environ,
            "SSL_CERT_FILE": str(folder / "ca.pem"),
            "REQUESTS_CA_BUNDLE": str(folder / "ca.pem"),
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
        command = ("-m", "benchmarks.polling_client", variant, str(stage.jobs), str(stage.factor), str(port))
        with (folder / "client.log").open("w") as log:
            done = subprocess.run([sys.executable, *command], env=env, stdout=subprocess.PIPE, stderr=log, check=True)
    measured: Run = json.loads(done.stdout)
    print(f"{stage.jobs} {variant}: {json.dumps(measured)}", flush=True)
    return measured


def measure(stages: Sequence[Stage]) -> dict[Stage, dict[str, Run]]:
    """Run all stages, variants interleaved, and return the medians."""
    medians: dict[Stage, dict[str, Run]] = {}
    with tempfile.TemporaryDirectory(prefix="segmind-polling-") as name:
        folder, authority = Path(name), trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        for stage in stages:
            runs: dict[str, list[Run]] = defaultdict(list)
            for _ in range(stage.rounds):
                for variant in stage.variants:
                    runs[variant].append(run(variant, stage, folder))
            medians[stage] = {variant: _median(own) for variant, own in runs.items()}
    return medians


def _median(runs: Sequence[Run]) -> Run:
    return {name: median(run[name] for run in runs) for name in runs[0]}


def cpu_per_1000(run: Run, null: Run) -> float:
    """Return CPU seconds for a thousand polls, without what the triggers cost anyway."""
    return 1000 * max(run["cpu"] - null["cpu"], 0.0) / max(run["polls"], 1)


def table(stage: Stage, runs: Mapping[str, Run]) -> str:
    """Return one stage as a table."""
    null, ours = runs["null"], cpu_per_1000(runs["ours"], runs["null"])
    lines = [
        f"### {stage.title}\n",
        "| variant | CPU s per 1,000 polls (net) | x ours | connections per 1,000 polls | most open | KiB a job | "
        "loop lag p99 / max ms | late: mean / p95 s | polls a job |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for variant, run in runs.items():
        own = run["cpu"] * 1000 / max(run["polls"], 1) if variant == "limit" else cpu_per_1000(run, null)
        polled = variant != "null"
        cells = (
            f"`{variant}`",
            f"{own:.3f}" if polled else f"({run['cpu']:.2f} s in all)",
            f"{own / ours:.1f}" if polled and ours else "-",
            f"{1000 * run['connections'] / max(run['polls'], 1):.1f}" if polled else "-",
            f"{run['most_open']:.0f}" if polled else "-",
            f"{run['kib'] / stage.jobs:.1f}" if variant != "limit" else "-",
            f"{run['lag_p99']:.1f} / {run['lag_max']:.0f}",
            "-"
            if variant in ("null", "limit")
            else f"{run['late_mean'] / stage.factor:.2f} / {run['late_p95'] / stage.factor:.2f}",
            f"{run['polls'] / stage.jobs:.2f}" if polled and variant != "limit" else "-",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def goals(medians: Mapping[Stage, Mapping[str, Run]]) -> str:
    """Return what was aimed at beside what was measured."""
    five = next((runs for stage, runs in medians.items() if stage.jobs == 5000), None)
    ten = next((runs for stage, runs in medians.items() if stage.jobs == 10_000), None)
    if five is None or ten is None:
        return ""
    ours, null = five["ours"], five["null"]
    own = cpu_per_1000(ours, null)
    peer = cpu_per_1000(five["http_sensor"], null)
    core = 100 * (ten["ours"]["cpu"] - ten["null"]["cpu"]) / ten["ours"]["wall"]
    rows = (
        ("CPU a poll, HttpSensorTrigger / ours, at 5,000", "≥ 10 x", f"{peer / own:.1f} x", peer / own >= 10),
        ("CPU s per 1,000 polls, at 5,000", "≤ 0.20", f"{own:.3f}", own <= 0.20),
        ("connections open", "≤ 16", f"{ours['most_open']:.0f}", ours["most_open"] <= 16),
        ("KiB a job, at 5,000", "≤ 20", f"{ours['kib'] / 5000:.1f}", ours["kib"] / 5000 <= 20),
        ("loop lag p99 ms, at 5,000", "< 10", f"{ours['lag_p99']:.1f}", ours["lag_p99"] < 10),
        ("loop lag max ms, at 5,000", "≤ 100", f"{ours['lag_max']:.0f}", ours["lag_max"] <= 100),
        ("connection lookups in a run", "1", f"{ours['lookups']:.0f}", ours["lookups"] == 1),
        ("10,000 jobs, share of a core beyond null", "< 30 %", f"{core:.0f} %", core < 30),
        ("10,000 jobs, MiB more", "≤ 200", f"{ten['ours']['kib'] / 1024:.0f}", ten["ours"]["kib"] / 1024 <= 200),
    )
    lines = ["| goal | aim | measured | met |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {aim} | {seen} | {'yes' if met else '**no**'} |" for name, aim, seen, met in rows]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Say on what this was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{os.cpu_count()} cores ({next(names, 'unknown')}), Python {platform.python_version()}, {packages}."


def main(*, quick: bool) -> None:
    """Measure, print, and renew the results if all was measured."""
    medians = measure(QUICK if quick else STAGES)
    tables = "\n".join(table(stage, runs) for stage, runs in medians.items())
    text = (
        "## Polling\n\n"
        f"{machine()} Server and client each on a core of their own, over TLS; fresh processes for every run, variants "
        "interleaved, medians of three rounds (one at 10,000). `null` only sleeps as long as its job: what Airflow "
        "costs anyway, subtracted from CPU. `http_sensor` is Airflow's own trigger, `per_trigger` has a session for "
        "each trigger, `documented` and `sdk` are threads, `limit` asks as fast as one core can. Late: from the job's "
        f"end to the poll that saw it, scaled back to real seconds.\n\n{goals(medians)}\n{tables}"
    )
    print(text)
    if not quick:
        write_section("polling", text)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv[1:])
