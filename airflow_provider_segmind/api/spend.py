"""
Limit what is spent on a day, however many tasks order at once. Without any I/O.

Each budget has a log for each day: numbered entries without a gap, each with the total up to it. Storage creates an
entry only once, however many ask, so a task adds to a log only if it has seen the total before. A task also notes what
it holds, so that a retry takes over the reservation of a worker that was killed.

A crash between two writes leaves too much reserved, never too little.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from airflow_provider_segmind.api.errors import CreditsError, InvalidRequestError
from airflow_provider_segmind.api.memory import Create, Read, Replace, Steps

VERSION = 1
FOLDER = "spend"
_CENT = 1e-6
"""US dollars that rounding may make of a difference."""


@dataclass(frozen=True, slots=True)
class Budget:
    """
    A limit for one day.

    :param of: whose orders count, in words.
    :param setting: the option that sets it.
    :param limit: US dollars.
    """

    of: str
    setting: str
    limit: float

    def log(self, day: str) -> str:
        """Return the folder of its entries of a day."""
        return f"{FOLDER}/{day}/{hashlib.sha256(self.of.encode()).hexdigest()[:24]}"


@dataclass(frozen=True, slots=True)
class OnRecord:
    """
    What a task has ordered so far, by its records.

    :param series: the series of orders that it continues; a batch that is cleared begins a new one.
    :param orders: number of orders of this series that are or may be accepted.
    :param before: the series before, and the number of its orders.
    """

    series: str = ""
    orders: int = 0
    before: tuple[str, int] | None = None

    def orders_of(self, series: str) -> int | None:
        """Return the number of orders of a series, or ``None`` if it is not known."""
        if series == self.series:
            return self.orders
        return self.before[1] if self.before is not None and self.before[0] == series else None


@dataclass(frozen=True, slots=True)
class Spender:
    """
    One attempt of a task that orders.

    :param owner: what tells the task from all others.
    :param attempt: number of the attempt.
    """

    owner: Mapping[str, Any]
    attempt: int

    @property
    def name(self) -> str:
        """The name of the object that says what the task holds."""
        digest = hashlib.sha256(json.dumps(dict(self.owner), sort_keys=True, default=str).encode()).hexdigest()
        return f"{FOLDER}/held/{digest[:2]}/{digest[:32]}.json"


@dataclass(frozen=True, slots=True)
class _Held:
    """What a task may order: so many orders of a series in all, counted in these logs at this price."""

    series: str = ""
    orders: int = 0
    price: float = 0.0
    logs: tuple[str, ...] = ()
    attempt: int = 0

    def unspent(self, known: OnRecord) -> float:
        """Return the US dollars that it holds for orders which were not sent."""
        ordered = known.orders_of(self.series)
        # Of a series that is not known, nobody can say what was sent.
        return 0.0 if ordered is None else max(0, self.orders - ordered) * self.price


_HELD = tuple(part.name for part in fields(_Held))


def reserve(
    who: Spender,
    budgets: Sequence[Budget],
    known: OnRecord,
    *,
    more: int,
    price: float,
    day: str,
    begins: bool = False,
) -> Steps[None]:
    """
    Reserve money for orders in all budgets, or in none.

    What a budget refuses is held in those before it for a moment, so give the one first that fewest orders share.

    :param more: number of orders to be sent.
    :param begins: whether the task has never reserved: what is held then is what a deleted run of the same id spent.
    :raises CreditsError: a budget does not cover them; nothing is reserved for them.
    """
    logs = tuple(budget.log(day) for budget in budgets)
    wanted = _Held(known.series, known.orders + more, price, logs, who.attempt)
    if begins and (yield Read(who.name)) is not None:
        yield Replace(who.name, _to_bytes(asdict(_Held())))
    held = yield from _reduced(who, wanted, known)
    unspent = held.unspent(known)
    added: list[tuple[str, float]] = []
    for budget, log in zip(budgets, logs, strict=True):
        mine = unspent if log in held.logs else 0.0
        total = yield from _add(log, more * price - mine, who, budget.limit)
        if total is not None:
            for other, amount in added:
                yield from _add(other, -amount, who)
            raise _refusal(budget, day, spent=total - mine, more=more, price=price, ordered=known.orders)
        added.append((log, more * price - mine))
    yield Replace(who.name, _to_bytes(asdict(replace(wanted, attempt=max(who.attempt, held.attempt)))))


def _reduced(who: Spender, wanted: _Held, known: OnRecord) -> Steps[_Held]:
    """Give back what a task holds beyond what it wants now, or for another day; return what it holds then."""
    held = yield from _held(who)
    unspent, enough = held.unspent(known), wanted.unspent(known)
    others = tuple(log for log in held.logs if log not in wanted.logs)
    if not unspent or (unspent - enough < _CENT and not others):
        return held
    logs = tuple(log for log in held.logs if log in wanted.logs)
    less = wanted if unspent - enough >= _CENT else held
    less = replace(less, logs=logs, attempt=max(wanted.attempt, held.attempt))
    # First, so that no attempt gives the same back once more after this one was killed.
    yield Replace(who.name, _to_bytes(asdict(less)))
    for log in held.logs:
        yield from _add(log, (0.0 if log in others else less.unspent(known)) - unspent, who)
    return less


def give_back(who: Spender, known: OnRecord) -> Steps[None]:
    """Give back what a task holds for orders that were not sent."""
    held = yield from _held(who)
    unspent = held.unspent(known)
    if not unspent or held.attempt > who.attempt:  # a later attempt has taken it over
        return
    sent = known.orders_of(held.series) or 0
    yield Replace(who.name, _to_bytes(asdict(replace(held, orders=sent))))
    for log in held.logs:
        yield from _add(log, -unspent, who)


def spent(budget: Budget, day: str) -> Steps[float]:
    """Return the US dollars that are spent or reserved on a day."""
    log = budget.log(day)
    return (yield from _newest(log, (yield from _hint(log))))[1]


def _add(log: str, dollars: float, who: Spender, limit: float | None = None) -> Steps[float | None]:
    """Add an entry to a log; return the total before, without adding, if the limit does not cover it."""
    number = yield from _hint(log)
    while True:
        number, total = yield from _newest(log, number)
        after = round(total + dollars, 6)
        if limit is not None and after > limit + _CENT:
            return total
        if abs(dollars) < _CENT:
            return None
        said = {"token": uuid.uuid4().hex, "owner": dict(who.owner), "dollars": round(dollars, 6), "total": after}
        name, data = _entry(log, number + 1), _to_bytes(said)
        # The storage may have lost its own answer to the first attempt.
        if (yield Create(name, data)) or (yield Read(name)) == data:
            yield Replace(f"{log}/newest", str(number + 1).encode())
            return None


def _entry(log: str, number: int) -> str:
    return f"{log}/{number}.json"


def _hint(log: str) -> Steps[int]:
    """Return the number of an entry that is likely to be among the newest; 0 for none."""
    said = yield Read(f"{log}/newest")
    return int(said) if said is not None and said.isdigit() and len(said) < 10 else 0


def _newest(log: str, number: int) -> Steps[tuple[int, float]]:
    """
    Return the number of a log's newest entry, and its total.

    :param number: where to begin.
    """
    data = (yield Read(_entry(log, number))) if number else None
    low, step = number if data is not None else 0, 1
    while (found := (yield Read(_entry(log, low + step)))) is not None:
        low, step, data = low + step, step * 2, found
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        found = yield Read(_entry(log, middle))
        if found is None:
            high = middle
        else:
            low, data = middle, found
    return low, _total(data, _entry(log, low)) if data is not None else 0.0


def _total(data: bytes, name: str) -> float:
    said = _read(data, name)
    if not isinstance(total := said.get("total"), int | float) or isinstance(total, bool):
        raise _damaged(name)
    return float(total)


def _held(who: Spender) -> Steps[_Held]:
    data = yield Read(who.name)
    if data is None:
        return _Held()
    said = _read(data, who.name)
    try:
        held = _Held(**{name: said[name] for name in _HELD})
        return replace(held, logs=tuple(map(str, held.logs)), orders=int(held.orders), price=float(held.price))
    except (KeyError, TypeError, ValueError):
        raise _damaged(who.name) from None


def _read(data: bytes, name: str) -> Mapping[str, Any]:
    try:
        said = json.loads(data)
    except ValueError:
        raise _damaged(name) from None
    if not isinstance(said, Mapping) or said.get("version") != VERSION:
        raise _damaged(name)
    return said


def _to_bytes(said: Mapping[str, Any]) -> bytes:
    return (json.dumps({"version": VERSION, **said}, sort_keys=True) + "\n").encode()


def _damaged(name: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"The memory's object {name} is damaged, or of another version of this package, so it is not known what is "
        "spent today. Nothing was ordered now. Look at it; if it is worthless, delete it: then what it counted counts "
        "no more. Then clear the task."
    )


def _refusal(budget: Budget, day: str, *, spent: float, more: int, price: float, ordered: int) -> CreditsError:
    then = "Then clear the task."
    if ordered:
        then = "Then let the task retry: a retry continues where it stopped."
    return CreditsError(
        f"{more} swaps at ${price:g} cost ${more * price:.2f}. On {day} (UTC), ${spent:.2f} are spent or reserved for "
        f"{budget.of}, and [segmind] {budget.setting} is ${budget.limit:.2f}. Nothing was ordered now. Wait for the "
        f"next day, order fewer swaps, or ask your Airflow administrator to raise the limit. {then}"
    )
