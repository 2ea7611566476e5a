"""Check the results of many body swaps in parallel, in separate processes."""

from __future__ import annotations

import json
import math
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from airflow_provider_segmind.quality.inspect import DEFAULTS, check_swap
from airflow_provider_segmind.quality.report import Check, Report
from airflow_provider_segmind.quality.thresholds import Thresholds
from airflow_provider_segmind.quality.worker import environment, receive, send

# -P: a file in the working directory must not replace one of Python's modules.
_COMMAND = (sys.executable, "-P", "-m", "airflow_provider_segmind.quality.worker")


class CheckDiedError(RuntimeError):
    """The process that checked a pair ended, or was killed, before it answered. A retry may help."""


@dataclass(frozen=True)
class Pair:
    """
    The pictures of one swap, fetched only when needed; several pairs are fetched at the same time.

    :param source: returns the photograph that was edited.
    :param result: returns the swap's result.
    :param reference: returns the new person; ``None`` skips the checks that need it.
    """

    source: Callable[[], bytes]
    result: Callable[[], bytes]
    reference: Callable[[], bytes] | None = None


def check_many(
    pairs: Iterable[Pair],
    *,
    thresholds: Thresholds = DEFAULTS,
    qa: bool | None = None,
    pose_model: Path | None = None,
    workers: int | None = None,
    timeout: float = 300.0,
    command: tuple[str, ...] = _COMMAND,
) -> Iterator[tuple[int, Report | Exception]]:
    """
    Check many results against their inputs, on several cores.

    The workers are separate programs, not children of :mod:`multiprocessing`: a forked child of a process with threads
    can hang, and Celery's pool marks its processes as daemons, which may have no such children. A pair's pictures are
    in memory only while it is fetched and checked, so memory depends on ``workers``, not on the size of the batch.

    :param pairs: read as workers become free.
    :param thresholds: the limits.
    :param qa: see :func:`airflow_provider_segmind.quality.inspect.qa_available`.
    :param pose_model: see :func:`airflow_provider_segmind.quality.inspect.check_swap`.
    :param workers: number of processes; ``None``: as many as fit, see :func:`worker_count`.
    :param timeout: seconds after which the check of one pair is stopped; the largest accepted pictures take a few.
    :param command: the command that starts a worker.
    :return: for each pair, in order of completion, its number from 0 and its report; instead of a report, the exception
        from fetching, or :class:`CheckDiedError`.
    :raises InvalidRequestError: if ``qa`` is required and not installed, or ``pose_model`` is another file.
    """
    check_swap(b"", b"", qa=qa, pose_model=pose_model)  # refuses a missing extra or a wrong model once, for all pairs
    asked = {"thresholds": asdict(thresholds), "qa": qa, "pose_model": None if pose_model is None else str(pose_model)}
    count = workers or worker_count()
    crew = _Crew(command, count, timeout)
    threads = ThreadPoolExecutor(count, thread_name_prefix="check")
    waiting: dict[Future[Report], int] = {}
    try:
        for number, pair in enumerate(pairs):
            waiting[threads.submit(_check, crew, pair, asked)] = number
            # One pair more than workers, so that no thread has to wait for the next pair.
            if len(waiting) > count:
                yield from _done(waiting)
        while waiting:
            yield from _done(waiting)
    finally:
        # Kill the processes first: the threads that wait for their answers then end.
        crew.end()
        threads.shutdown(wait=False, cancel_futures=True)


def _done(waiting: dict[Future[Report], int]) -> Iterator[tuple[int, Report | Exception]]:
    ready, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in ready:
        number, error = waiting.pop(future), future.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        yield number, future.result() if error is None else error


def _check(crew: _Crew, pair: Pair, asked: dict[str, Any]) -> Report:
    pictures = [pair.source(), pair.result()]
    if pair.reference is not None:
        pictures.append(pair.reference())
    return crew.check(pictures, asked)


class _Crew:
    """The worker processes; started at first use, and again after one died."""

    def __init__(self, command: tuple[str, ...], count: int, timeout: float) -> None:
        self._command = command
        self._timeout = timeout
        self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        self._all: set[_Worker] = set()
        self._lock = threading.Lock()
        self._ended = False
        for _ in range(count):
            self._idle.put(None)

    def check(self, pictures: list[bytes], asked: dict[str, Any]) -> Report:
        worker = self._idle.get()
        try:
            worker = worker or self._start()
            return worker.check(pictures, asked, self._timeout)
        except BaseException:
            if worker is not None:
                self._forget(worker)
                worker = None
            raise
        finally:
            self._idle.put(worker)

    def end(self) -> None:
        with self._lock:
            self._ended = True
            workers = list(self._all)
        for worker in workers:
            worker.end()

    def _start(self) -> _Worker:
        with self._lock:
            if self._ended:
                raise CheckDiedError("The checks have ended.")
            worker = _Worker(self._command)
            self._all.add(worker)
            return worker

    def _forget(self, worker: _Worker) -> None:
        with self._lock:
            self._all.discard(worker)
        worker.end()


class _Worker:
    """One process that checks one pair at a time."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
        )

    def check(self, pictures: list[bytes], asked: dict[str, Any], timeout: float) -> Report:
        clock = threading.Timer(timeout, self._process.kill)
        clock.daemon = True
        clock.start()
        try:
            answer = self._ask(pictures, asked)
        finally:
            clock.cancel()
        if answer is None:
            raise CheckDiedError(self._epitaph(timeout))
        return _report(json.loads(answer))

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in self._pipes():
            with suppress(OSError):  # unwritten data cannot be flushed
                pipe.close()

    def _ask(self, pictures: list[bytes], asked: dict[str, Any]) -> bytes | None:
        to, answers = self._pipes()
        try:
            send(to, json.dumps({**asked, "pictures": len(pictures)}).encode())
            for picture in pictures:
                send(to, picture)
            to.flush()
        except (OSError, ValueError):  # it died during the write, or was killed
            return None
        return receive(answers)

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        to, answers = self._process.stdin, self._process.stdout
        if to is None or answers is None:
            raise AssertionError("both were asked for")
        return to, answers

    def _epitaph(self, timeout: float) -> str:
        status = self._process.wait()
        how = f"by signal {-status}" if status < 0 else f"with exit status {status}"
        return (
            f"The process that checked this pair ended {how}. Signal 9 mostly means that memory ran out, or that the "
            f"check took longer than {timeout:g} s. The task's log has its other output. A retry may help. "
            "If it does not, lower the threshold max_pixels, or ask your Airflow administrator to give the worker more "
            "memory."
        )


def _report(value: dict[str, Any]) -> Report:
    """Return the report from the JSON of :meth:`Report.to_json`."""
    checks = tuple(Check(**check) for check in value["checks"])
    return Report(value["kind"], checks, tuple(value["layers"]), value["seconds"])


MEMORY_EACH = 350 * 2**20
"""Bytes per process that checks pictures of 12 million pixels in any format; see benchmarks/results.md."""
_MOST = 4


def worker_count(root: Path = Path("/")) -> int:
    """
    Return how many processes fit: 1 to 4, one per core and per 350 MiB of free memory.

    :param root: the folder with ``/proc`` and ``/sys``.
    """
    free = _free_memory(root)
    by_memory = _MOST if free is None else free // MEMORY_EACH
    return max(1, min(_MOST, _cores(root), by_memory))


def _cores(root: Path) -> int:
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cores = os.cpu_count() or 1
    quota = _words(root / "sys/fs/cgroup/cpu.max")
    if len(quota) == 2 and all(word.isdigit() for word in quota):
        return min(cores, math.ceil(int(quota[0]) / int(quota[1])))
    return cores


def _free_memory(root: Path) -> int | None:
    """Return the free bytes of the machine and of its container, whichever is less; ``None`` if unknown."""
    found = []
    words = _words(root / "proc/meminfo")
    if "MemAvailable:" in words:
        found.append(int(words[words.index("MemAvailable:") + 1]) * 1024)
    # In a container, MemAvailable is still the whole machine's. Only cgroups version 2 is supported.
    group = root / "sys/fs/cgroup"
    limit, used, stat = (_words(group / name) for name in ("memory.max", "memory.current", "memory.stat"))
    if limit and used and limit[0].isdigit():
        # Files read long ago count as used, but are freed when memory is needed.
        cached = int(stat[stat.index("inactive_file") + 1]) if "inactive_file" in stat else 0
        found.append(max(0, int(limit[0]) - int(used[0]) + cached))
    return min(found, default=None)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []
