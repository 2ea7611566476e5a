"""The report: what was expected, by ``expectations.toml``, what was seen, and what follows for this package."""

from __future__ import annotations

import functools
import platform
import textwrap
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_segmind import __version__
from airflow_provider_segmind.doctor.cassette import Cassette
from airflow_provider_segmind.doctor.reading import Entry, Tape, is_answer, is_page, words_of
from airflow_provider_segmind.doctor.reading_order import READERS

_WIDTH = 120
_EXPECTATIONS = Path(__file__).with_name("expectations.toml")
_OF_AN_ORDER = frozenset(("order", "poll", "history-order", "balance-after", "record", "picture", "picture-later"))


@dataclass(frozen=True)
class Belief:
    """One thing that is believed of the service; expectations.toml says what its fields mean."""

    topic: str
    name: str
    says: str
    sure: str
    source: str
    expected: Sequence[str]
    shown_by: Sequence[str]
    otherwise: str
    follows: Mapping[str, str] = field(default_factory=dict)
    seen: Sequence[Sequence[str]] = ()

    @property
    def order(self) -> bool:
        """Whether only an order can show it."""
        return set(self.shown_by) <= _OF_AN_ORDER

    def what_follows(self, seen: str) -> str:
        """Return what follows of a value; empty if it is expected."""
        if seen in self.expected:
            return ""
        return self.follows.get(seen, self.otherwise).replace("{seen}", seen)


@functools.cache
def beliefs() -> tuple[Belief, ...]:
    """Return all beliefs, in the order of the file."""
    topics = tomllib.loads(_EXPECTATIONS.read_text(encoding="utf-8"))
    return tuple(Belief(topic, **one) for topic, listed in topics.items() for one in listed)


@dataclass(frozen=True)
class Finding:
    """What was found out about a belief."""

    belief: Belief
    seen: str = ""  # the value; empty if it was not found out
    by: int = 0  # number of the request that showed it, from 1
    more: str = ""  # the value more exactly
    why: str = ""  # why it was not found out

    @property
    def follows(self) -> str:
        """What follows for this package; empty if the belief holds, or nothing was found out."""
        return self.belief.what_follows(self.seen) if self.seen else ""

    def __str__(self) -> str:
        return f"{_code(self.seen)}{f' ({self.more})' if self.more else ''}"


@dataclass(frozen=True)
class Report:
    """What a run found out; ``str`` of it is the page, in Markdown. ``notes``: what the person must know."""

    at: float
    cassette: Cassette
    findings: Sequence[Finding]
    notes: Sequence[str] = ()
    here: Sequence[str] = ()

    @property
    def differs(self) -> tuple[Finding, ...]:
        """The beliefs that do not hold."""
        return tuple(one for one in self.findings if one.follows)

    def __str__(self) -> str:
        lines = "\n".join(self._lines()).splitlines()
        return "\n".join(_wrapped(line) for line in lines) + "\n"

    def _lines(self) -> Iterator[str]:
        holds = [one for one in self.findings if one.seen and not one.follows]
        open_ = [one for one in self.findings if not one.seen]
        ordered = any(one["step"] == "order" for one in self.cassette.entries)
        yield "# What Segmind does, as far as it was found out\n"
        yield (
            f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(self.at))}, airflow-provider-segmind {__version__}, "
            f"Python {platform.python_version()}, {platform.system()}, {self.cassette.host}, "
            f"with{'' if ordered else 'out'} an order. Beliefs that differ: {len(self.differs)}; as expected: "
            f"{len(holds)}; not found out: {len(open_)}."
        )
        yield from ("", *(f"**{note}**" for note in self.notes)) if self.notes else ()
        if self.differs:
            yield "\n## Differs: what to do\n"
        for one in self.differs:
            yield f"### {one.belief.name}: {_code(one.seen)}\n"
            yield f"* Expected: {one.belief.says} ({one.belief.sure})"
            yield f"* Seen: {one}, by request {one.by}: {_shown(self.cassette.entries[one.by - 1])}"
            yield f"* What follows: {one.follows}\n"
        if holds:
            yield "\n## As expected\n"
        yield from (f"* {one.belief.name}: {one.belief.says} Seen: {one}, by request {one.by}." for one in holds)
        if open_:
            yield "\n## Not found out\n"
        yield from (f"* {one.belief.name}: {one.why}." for one in open_)
        if self.here:
            yield "\n## Airflow on this machine\n"
        yield from (f"* {line}" for line in self.here)
        yield "\n## Requests\n"
        for number, entry in enumerate(self.cassette.entries, 1):
            yield f"{number}. {entry['step']}: {_shown(entry)}"


def _code(text: str) -> str:
    """Return a text that Markdown shows as it is: it would leave out `<label>`."""
    return f"`{text}`" if "<" in text else text


def _shown(one: Entry) -> str:
    answer = f"HTTP {one['status']}" if one["status"] is not None else one["failure"] or "no answer"
    times = f", {one['times']} times" if one.get("times") else ""
    said = f", {_code(words)}" if (one["status"] or 0) >= 400 and (words := _line(words_of(one))) else ""
    return f"`{one['method']} {one['url']}` ({one['key']}), {one['took']} s{times}: {answer}{said}"


def _wrapped(line: str) -> str:
    indent = "  " if line.startswith("* ") else "   " if line[:1].isdigit() and ". " in line[:5] else ""
    width = {"width": _WIDTH, "break_long_words": False, "break_on_hyphens": False}
    return line if line.startswith("#") else textwrap.fill(line, subsequent_indent=indent, **width)  # type: ignore[arg-type]


def judge(cassette: Cassette, skipped: Mapping[str, str]) -> list[Finding]:
    """Return what a cassette says about each belief; ``skipped``: why a request was not sent, by its name."""
    tape = Tape(cassette.host, cassette.entries)
    return [_judged(belief, tape, skipped) for belief in beliefs()]


def _judged(belief: Belief, tape: Tape, skipped: Mapping[str, str]) -> Finding:
    try:
        seen = READERS[belief.name](tape)
    except Exception as error:  # noqa: BLE001 - whatever the service answers, there is a report
        return Finding(belief, why=f"the answer is too odd to be read ({type(error).__name__})")
    if seen is not None:
        return Finding(belief, _line(seen.value) or "nothing", seen.by, _line(seen.more))
    return Finding(belief, why=_why(belief, tape, skipped))


def _line(text: object) -> str:
    return " ".join(str(text).replace("`", "'").split())[:300]


def _why(belief: Belief, tape: Tape, skipped: Mapping[str, str]) -> str:
    asked = list(tape.of(*belief.shown_by))
    if not asked and belief.order and not list(tape.of("order")):
        return "only an order shows it (--order)"
    answered = {one["step"] for _, one in asked if is_answer(one)}
    refused = [(number, one) for number, one in asked if one["step"] not in answered]
    if refused:
        number, one = refused[-1]
        what = "a web page" if is_page(one) else "no answer" if one["status"] is None else f"HTTP {one['status']}"
        return f"{what} came instead (request {number})"
    reasons = [skipped[step] for step in belief.shown_by if step in skipped]
    return reasons[0] if reasons else "the answers do not show it" if asked else "it was not asked for"
