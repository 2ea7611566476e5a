"""Read from the memory what swaps cost, within a bound of time; note what was reused."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from airflow_provider_segmind.api.costs import REUSED, Costs, Facts, costs_of, day_of, facts_of, read_facts
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.memory import Read, Replace
from airflow_provider_segmind.api.remembered import DamagedError, read_swap
from airflow_provider_segmind.memory.store import Listed, Store, owner_of, store, task_folder

log = logging.getLogger(__name__)

READERS = 16
FRESH = 60.0
"""Seconds for which costs are not read anew."""
MAX_KNOWN = 200_000
"""Objects whose facts are held in memory; what is beyond them is not counted."""
FORGOTTEN, REUSES = "forgotten", "reuses"
_DAY = 86400.0
_PARTS = tuple(f"swaps/{number:02x}" for number in range(256))


def note_reused(context: Mapping[str, Any], swaps: int, price: float | None) -> None:
    """Note how many swaps a task took without paying, once however often it is retried on a day. Never raises."""
    where = store()
    if where is None:
        return
    now, owner = time.time(), owner_of(context)
    series = {**owner, "max_tries": getattr(context["ti"], "max_tries", 0)}  # a clear reuses once more
    name = f"{REUSES}/{day_of(now)}/{task_folder(series).rpartition('/')[2]}.json"
    try:
        where.run(_write(name, Facts(now, owner["dag_id"], REUSED, swaps, round(swaps * (price or 0.0), 4))))
    except SegmindError as error:
        log.warning("The costs do not say that %d swaps were reused: %s", swaps, error)


def _write(name: str, facts: Facts) -> Any:
    yield Replace(name, facts.to_bytes())


class CostsReader:
    """
    Reads costs, and knows what it has read: a later call reads only what is new.

    One call reads at a time, for as long as it may; others meanwhile get what is known.
    """

    def __init__(self, where: Store, clock: Callable[[], float] = time.time) -> None:
        self._where = where
        self._clock = clock
        self._lock = threading.Lock()
        self._reading: threading.Thread | None = None
        self._error: Exception | None = None
        self._known: dict[str, tuple[str, Facts | None]] = {}
        self._listed: dict[str, dict[str, str]] = {}
        self._whole: dict[str, float] = {}
        self._done: tuple[str, float] = ("", 0.0)

    def costs(self, days: int, *, seconds: float | None = None) -> Costs:
        """
        Return the costs of the last days, today included.

        :param seconds: time after which no further object is read, and nothing is waited for; ``None`` reads all.
        :raises SegmindError: the storage cannot be read.
        """
        now = self._clock()
        since = day_of(now - (days - 1) * _DAY)
        fresh = self._done[0] and self._done[0] <= since and now - self._done[1] < FRESH
        if not fresh and seconds is None:
            self._read(since, now, None)
        elif not fresh and seconds is not None:
            self._read_beside(since, now, seconds)
        listed = {name: stamp for part in list(self._listed.values()) for name, stamp in part.items()}
        known = [self._known[name][1] for name in listed if name in self._known]
        facts = [one for one in known if one is not None]
        return costs_of(facts, now=now, since=since, read=len(known), there=len(listed))

    def _read_beside(self, since: str, now: float, seconds: float) -> None:
        # In a thread, since a storage that hangs must not hold the request.
        def read() -> None:
            try:
                self._read(since, now, time.monotonic() + seconds)
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                self._error = error

        with self._lock:
            if self._reading is None or not self._reading.is_alive():
                self._error = None
                self._reading = threading.Thread(target=read, name="segmind-costs", daemon=True)
                self._reading.start()
            reading = self._reading
        reading.join(seconds + 1)
        if self._error is not None:
            raise self._error

    def _read(self, since: str, now: float, give_up: float | None) -> None:
        self._where.check()
        days = [f"{REUSES}/{day}" for day in _days(since, now)]
        folders = (FORGOTTEN, *days, *_PARTS)
        for old in self._listed.keys() - set(folders):
            del self._listed[old]
        # What was read longest ago comes first, so that each look gets further, however short it is.
        due = sorted(folders, key=lambda folder: self._whole.get(folder, 0.0))
        with ThreadPoolExecutor(READERS, thread_name_prefix="segmind-costs") as pool:
            whole = list(pool.map(lambda folder: self._read_folder(folder, since, now, give_up), due))
        for name in self._known.keys() - {name for part in self._listed.values() for name in part}:
            del self._known[name]
        if all(whole):
            self._done = (since, now)

    def _read_folder(self, folder: str, since: str, now: float, give_up: float | None) -> bool:
        """Read what is new in a folder; return whether that is all of it."""
        if folder in self._listed and _is_over(folder, self._whole.get(folder, 0.0)):
            return True
        if _is_past(give_up):
            return False
        listed = [one for one in self._where.listed(folder) if _may_count(one, since)]
        self._listed[folder] = {one.name: one.stamp for one in listed}
        for one in listed:
            known = self._known.get(one.name)
            if known is not None and known[0] == one.stamp:
                continue
            if _is_past(give_up) or (known is None and len(self._known) >= MAX_KNOWN):
                return False
            data = self._where.do(Read(one.name), time.sleep if give_up is None else _at_once)
            self._known[one.name] = (one.stamp, None if data is None else _facts_in(data, one.name))
        self._whole[folder] = now
        return True


def _at_once(_: float) -> None:
    """Try again without a pause."""


def _is_over(folder: str, read_at: float) -> bool:
    """Whether a folder was read when nothing could come to it any more: the day of its notes had passed."""
    top, _, day = folder.partition("/")
    return top == REUSES and day < day_of(read_at - _DAY)


def _is_past(give_up: float | None) -> bool:
    return give_up is not None and time.monotonic() > give_up


def _may_count(one: Listed, since: str) -> bool:
    # An object is never older than its order.
    return one.changed_at is None or day_of(one.changed_at) >= since


def _days(since: str, now: float) -> list[str]:
    days = [day_of(now)]
    while days[-1] > since:
        days.append(day_of(now - len(days) * _DAY))
    return days


def _facts_in(data: bytes, name: str) -> Facts | None:
    try:
        return facts_of(read_swap(data, name)) if name.startswith("swaps/") else read_facts(data)
    except (DamagedError, ValueError) as error:
        log.warning("The costs leave out %s: %s", name, error)
        return None


_readers: dict[str, CostsReader] = {}


def reader_of(where: Store) -> CostsReader:
    """Return the reader of a memory that this process keeps."""
    return _readers.setdefault(where.root, CostsReader(where))
