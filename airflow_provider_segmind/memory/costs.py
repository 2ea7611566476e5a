"""Read from the memory what swaps cost, within a bound of time; note what was reused."""

from __future__ import annotations

import logging
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_segmind.api.costs import REUSED, Costs, Facts, costs_of, day_of, facts_of, read_facts
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.memory import Read, Replace
from airflow_provider_segmind.api.remembered import ORDERED, DamagedError, read_swap
from airflow_provider_segmind.memory.store import Listed, Store, owner_of, store, task_folder

log = logging.getLogger(__name__)

READERS = 16
FRESH = 60.0
"""Seconds for which costs are not read anew."""
MAX_KNOWN = 2_000_000
"""Objects whose facts are held in memory, a hundred bytes each; what is beyond them is not counted."""
FORGOTTEN, REUSES = "forgotten", "reuses"
_DAY = 86400.0
_EVER = 2**16 - 1
"""Number of a day that never comes."""
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


@dataclass(slots=True)
class _Folder:
    """
    What is known of a folder.

    :param listed: of each object, a number that tells this version of it from any other, and the day of its change.
    :param todo: what is still to be read of the last listing.
    :param begun: the first day for which objects of the last listing are read, and when it was made.
    :param whole: the same, of the last listing of which all is read.
    """

    listed: tuple[array[int], array[int]] = field(default_factory=lambda: (array("q"), array("H")))
    todo: list[Listed] = field(default_factory=list)
    begun: tuple[int, float] = (_EVER, 0.0)
    whole: tuple[int, float] = (_EVER, 0.0)

    def is_whole(self, first: int) -> bool:
        """Whether all was read that may count from a day on."""
        return self.whole[0] <= first and not self.todo


class CostsReader:
    """
    Reads costs, and knows what it has read: a later call goes on where this one stopped, and reads only what is new.

    One call reads at a time, for as long as it may; others meanwhile get what is known.
    """

    def __init__(self, where: Store, clock: Callable[[], float] = time.time) -> None:
        self._where = where
        self._clock = clock
        self._lock = threading.Lock()
        self._reading: threading.Thread | None = None
        self._error: Exception | None = None
        self._folders: dict[str, _Folder] = {}
        # Of a million objects it must not be more than a number each: what they say is nearly always the same.
        self._known: dict[int, int] = {}
        self._facts: dict[Facts | None, int] = {None: 0}

    def costs(self, days: int, *, seconds: float | None = None) -> Costs:
        """
        Return the costs of the last days, today included.

        :param seconds: time after which no further object is read, and nothing is waited for; ``None`` reads all.
        :raises SegmindError: the storage cannot be read.
        """
        now = self._clock()
        first = int(now // _DAY) - days + 1
        folders = (FORGOTTEN, *(f"{REUSES}/{day_of(day * _DAY)}" for day in range(int(now // _DAY), first - 1, -1)))
        folders += _PARTS
        if seconds is None:
            self._read(folders, first, now, None)
        else:
            self._read_beside(folders, first, now, seconds)
        return self._sum(folders, first, now)

    def _sum(self, folders: Sequence[str], first: int, now: float) -> Costs:
        known = [self._folders.get(folder, _Folder()) for folder in folders]
        listed = [one.listed for one in known]
        found = Counter(
            self._known.get(key) for keys, days in listed for key, day in zip(keys, days, strict=True) if day >= first
        )
        unread = found.pop(None, 0)
        said = {number: facts for facts, number in list(self._facts.items()) if facts is not None}
        facts = [
            replace(said[number], swaps=said[number].swaps * count, dollars=said[number].dollars * count)
            for number, count in found.items()
            if number in said
        ]
        read, is_whole = found.total(), all(one.is_whole(first) for one in known)
        return costs_of(facts, now=now, since=day_of(first * _DAY), read=read, there=read + unread, is_whole=is_whole)

    def _read_beside(self, folders: Sequence[str], first: int, now: float, seconds: float) -> None:
        # In a thread, since a storage that hangs must not hold the request.
        def read() -> None:
            try:
                self._read(folders, first, now, time.monotonic() + seconds)
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

    def _read(self, folders: Sequence[str], first: int, now: float, give_up: float | None) -> None:
        self._where.check()
        # What was begun goes on first, then what was read longest ago: each look gets further, however short it is.
        known = {folder: self._folders.setdefault(folder, _Folder()) for folder in folders}
        due = sorted(folders, key=lambda folder: (not known[folder].todo, known[folder].whole[1]))
        with ThreadPoolExecutor(READERS, thread_name_prefix="segmind-costs") as pool:
            list(pool.map(lambda folder: self._read_folder(folder, first, now, give_up), due))

    def _read_folder(self, name: str, first: int, now: float, give_up: float | None) -> None:
        """Read what is new in a folder, as far as it goes."""
        folder = self._folders[name]
        read_at = folder.whole[1]
        if folder.is_whole(first) and (now - read_at < FRESH or _is_over(name, read_at)):
            return
        if _is_past(give_up):
            return
        if not folder.todo or folder.begun[0] > first:
            self._list(name, folder, first, now)
        while folder.todo:
            if _is_past(give_up) or len(self._known) >= MAX_KNOWN:
                return
            one = folder.todo[-1]
            data = self._where.do(Read(one.name), time.sleep if give_up is None else _at_once)
            self._note(one, None if data is None else _facts_in(data, one.name))
            folder.todo.pop()
        folder.whole = folder.begun

    def _list(self, name: str, folder: _Folder, first: int, now: float) -> None:
        found = list(self._where.listed(name))
        before, keys = folder.listed[0], array("q", map(_key, found))
        folder.listed = keys, array("H", map(_day, found))
        for gone in set(before).difference(keys):
            self._known.pop(gone, None)
        # An object is never older than its order.
        folder.todo = [one for one in found if _day(one) >= first and _key(one) not in self._known]
        folder.begun = first, now

    def _note(self, one: Listed, facts: Facts | None) -> None:
        if facts is not None:  # as little as is needed, so that many are the same
            step = 3600.0 if facts.state == ORDERED else _DAY
            facts = replace(facts, at=facts.at // step * step)
        with self._lock:
            self._known[_key(one)] = self._facts.setdefault(facts, len(self._facts))


def _key(one: Listed) -> int:
    return hash((one.name, one.stamp))


def _day(one: Listed) -> int:
    """Return the number of the day of an object's change; the last one if the storage does not say."""
    return _EVER if one.changed_at is None else min(max(0, int(one.changed_at // _DAY)), _EVER)


def _at_once(_: float) -> None:
    """Try again without a pause."""


def _is_over(folder: str, read_at: float) -> bool:
    """Whether a folder was read when nothing could come to it any more: the day of its notes had passed."""
    top, _, day = folder.partition("/")
    return top == REUSES and day < day_of(read_at - _DAY)


def _is_past(give_up: float | None) -> bool:
    return give_up is not None and time.monotonic() > give_up


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
