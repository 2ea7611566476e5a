"""Many results are checked several at a time, and nothing that one picture does to its process reaches the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_segmind.quality.inspect import check_swap
from airflow_provider_segmind.quality.many import CheckDiedError, Pair, check_many, worker_count
from airflow_provider_segmind.quality.report import Report
from airflow_provider_segmind.quality.thresholds import Thresholds
from tests.quality.drawing import trio


def pair(source: bytes, result: bytes, reference: bytes | None = None) -> Pair:
    return Pair(lambda: source, lambda: result, None if reference is None else (lambda: reference))


_others: set[int] = set()
"""Processes that tests of other modules have started here and still need."""


@pytest.fixture(autouse=True)
def _only_own_children() -> Iterator[None]:
    _others.update(children())
    yield
    _others.clear()


def children() -> list[int]:
    """Which processes a test of this module has started that still run."""
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    running = [int(pid) for file in tasks for pid in file.read_text().split()]
    return [pid for pid in running if pid not in _others]


def test_each_gets_the_report_that_it_would_get_alone() -> None:
    source, result, reference = trio()
    asked = [(source, result, reference), (source, source, reference), (source, b"<html>", reference), (source, result)]
    thresholds = Thresholds.of({"min_contrast": 8})
    seen = dict(check_many([pair(*one) for one in asked], thresholds=thresholds, qa=False, workers=2))
    assert sorted(seen) == [0, 1, 2, 3]
    for number, one in enumerate(asked):
        alone, report = check_swap(*one, thresholds=thresholds, qa=False).to_json(), seen[number]
        assert isinstance(report, Report)
        assert {**report.to_json(), "seconds": 0} == {**alone, "seconds": 0}
    assert not children()


def test_a_picture_that_cannot_be_fetched_does_not_keep_the_others_from_being_checked() -> None:
    source, result, reference = trio()

    def gone() -> bytes:
        raise ConnectionError("the result is gone")

    pairs = [pair(source, result, reference), Pair(lambda: source, gone), pair(source, result, reference)]
    seen = dict(check_many(pairs, workers=2))
    assert isinstance(seen[1], ConnectionError)
    assert [seen[number].verdict for number in (0, 2)] == ["pass", "pass"]  # type: ignore[union-attr]


def test_a_process_that_is_killed_is_an_error_of_its_pair_and_the_next_one_gets_another() -> None:
    source, result, reference = trio()

    def killing() -> bytes:
        for child in children():
            os.kill(child, signal.SIGKILL)
        return result

    good = pair(source, result, reference)
    seen = dict(check_many([good, Pair(lambda: source, killing), good], workers=1))
    assert isinstance(seen[1], CheckDiedError)
    assert "by signal 9" in str(seen[1])
    assert "memory" in str(seen[1])
    assert [seen[number].verdict for number in (0, 2)] == ["pass", "pass"]  # type: ignore[union-attr]


@pytest.mark.skipif(sys.platform != "linux", reason="a process is looked at in /proc")
def test_whoever_takes_a_decoder_over_finds_no_key_and_can_open_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", "segmind://:SG_the_key@")
    monkeypatch.setenv("SOMETHING_NEW", "SG_the_key")
    source, result, reference = trio()
    found: dict[str, str] = {}

    def looking() -> bytes:
        for child in children():
            place = Path(f"/proc/{child}")
            found["environment"] = (place / "environ").read_text()
            found["limits"] = (place / "limits").read_text()
            found["open"] = " ".join(sorted(str(each.readlink()) for each in (place / "fd").iterdir()))
        return result

    with open(tmp_path / "secret", "w") as secret:  # noqa: PTH123 - which a program would inherit
        os.set_inheritable(secret.fileno(), True)
        pairs = [pair(source, result, reference), Pair(lambda: source, looking), pair(source, result, reference)]
        seen = dict(check_many(pairs, workers=1))
    assert [seen[number].verdict for number in (0, 1, 2)] == ["pass"] * 3  # type: ignore[union-attr]
    assert "SG_the_key" not in found["environment"]
    assert "AIRFLOW" not in found["environment"]
    assert "secret" not in found["open"]
    (opened,) = [line.split() for line in found["limits"].splitlines() if line.startswith("Max open files")]
    assert opened[3:5] == ["0", "0"], "it may open files"


def test_a_process_that_dies_while_it_checks_ends_in_an_error_and_not_in_a_wait() -> None:
    source, result, _ = trio()
    dying = "import os, sys; sys.stdin.buffer.read(4); os.kill(os.getpid(), 9)"
    seen = dict(check_many([pair(source, result)] * 3, workers=2, command=(sys.executable, "-c", dying)))
    assert [type(seen[number]) for number in range(3)] == [CheckDiedError] * 3
    assert all("by signal 9" in str(error) for error in seen.values()), "it was waited for"


def test_a_check_that_takes_too_long_is_given_up() -> None:
    source, result, _ = trio()
    sleeping = "import time; time.sleep(600)"
    checks = check_many([pair(source, result)], workers=1, timeout=0.2, command=(sys.executable, "-c", sleeping))
    ((_, seen),) = checks
    assert isinstance(seen, CheckDiedError)
    assert "longer than 0.2 s" in str(seen)


def test_pairs_are_read_as_they_are_needed_and_no_process_is_left_when_the_caller_stops() -> None:
    source, result, reference = trio()
    read = fetched = 0

    def fetch() -> bytes:
        nonlocal fetched
        fetched += 1
        return source

    def endless() -> Iterator[Pair]:
        nonlocal read
        while True:
            read += 1
            yield Pair(fetch, lambda: result, lambda: reference)

    checks = check_many(endless(), workers=2)
    for done in range(1, 6):
        next(checks)
        # Two are worked on and one waits; those that are done are few, since nobody asked for more.
        assert read <= done + 5
    checks.close()  # type: ignore[attr-defined]
    assert fetched <= read
    give_up = time.monotonic() + 10
    while children() and time.monotonic() < give_up:
        time.sleep(0.01)
    assert not children()


def test_it_works_in_a_daemonic_process_as_celery_marks_its_own() -> None:
    code = """
import multiprocessing, sys
from airflow_provider_segmind.quality.many import Pair, check_many

def run():
    pairs = [Pair(lambda: b"one", lambda: b"other")] * 2
    seen = [report.verdict for _, report in check_many(pairs, workers=2)]
    sys.exit(seen != ["fail", "fail"])

process = multiprocessing.get_context("fork").Process(target=run, daemon=True)
process.start()
process.join(60)
sys.exit(process.exitcode)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr


def test_checks_that_are_not_there_are_refused_before_any_picture_is_fetched() -> None:
    # In a process of its own, where what they need is not installed.
    code = """
import sys
sys.modules["ai_edge_litert"] = None
from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.quality.many import Pair, check_many

def fetch():
    print("fetched")

try:
    next(check_many([Pair(fetch, fetch)], qa=True))
except InvalidRequestError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("qa=True")
    assert "fetched" not in done.stdout


@pytest.mark.parametrize(
    ("cpu", "limit", "cached", "available", "count"),
    [
        ("max 100000", "max", 0, 24_000_000, 4),
        ("50000 100000", "max", 0, 24_000_000, 1),
        ("max 100000", "max", 0, 500_000, 1),
        ("max 100000", "max", 0, 100, 1),
        ("max 100000", str(900 * 2**20), 0, 24_000_000, 1),
        ("max 100000", str(900 * 2**20), 300 * 2**20, 24_000_000, 2),
    ],
)
def test_there_are_no_more_processes_than_there_are_cores_and_memory(
    tmp_path: Path, cpu: str, limit: str, cached: int, available: int, count: int
) -> None:
    cores = len(os.sched_getaffinity(0))
    groups = tmp_path / "sys/fs/cgroup"
    groups.mkdir(parents=True)
    for name, value in (
        ("cpu.max", cpu),
        ("memory.max", limit),
        ("memory.current", str(400 * 2**20)),
        ("memory.stat", f"anon 1\nfile 2\ninactive_file {cached}\n"),
    ):
        (groups / name).write_text(value)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemTotal:  64000000 kB\nMemAvailable:  {available} kB\n")
    assert worker_count(tmp_path) == min(count, cores)


def test_on_a_machine_that_tells_nothing_there_is_one_process_for_each_core(tmp_path: Path) -> None:
    assert worker_count(tmp_path) == min(4, len(os.sched_getaffinity(0)))
