"""The cassette: what was asked and answered, redacted as it is recorded; and the folder that keeps it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_segmind import __version__
from airflow_provider_segmind.api import answers
from airflow_provider_segmind.api.client import Client
from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError
from airflow_provider_segmind.api.refusals import moment_of
from airflow_provider_segmind.api.wire import Answer, Request, Response
from airflow_provider_segmind.doctor.redaction import Redactor
from airflow_provider_segmind.emulator.cassette import VERSION
from airflow_provider_segmind.emulator.like import LIMIT

Reading = Callable[[Response], Any]
"""How the package reads an answer."""
WATCHED = ("poll", "record", "picture-later", "history-order")
"""Requests that are repeated: equal answers in a row are one entry."""
MOST = 300
"""Most entries, so that a cassette stays small."""


@dataclass
class Cassette:
    """Requests and answers of all runs of one folder, as plain values; the first is request 1."""

    host: str
    entries: list[dict[str, Any]] = field(default_factory=list)

    def add(self, entry: dict[str, Any]) -> None:
        """Add an entry, or count it to the one before if it says the same."""
        same = next((one for one in reversed(self.entries) if one["step"] == entry["step"]), None)
        if same and entry["step"] in WATCHED and _said(same) == _said(entry):
            same.update(times=same.get("times", 1) + 1, until=entry["at"])
            _follow_limit(same, entry["headers"])
        elif entry["step"] in WATCHED:
            if same and len(self.entries) >= MOST:  # the first and the last matter most
                self.entries.remove(same)
            self.entries.append(entry)
        elif entry["step"] == "order":
            self.entries.append(entry)
        else:
            self.entries = [one for one in self.entries if one["step"] != entry["step"]] + [entry]

    def to_bytes(self, key: str) -> bytes:
        """Return the file; whatever it says, it does not say the key."""
        said = {"cassette": VERSION, "package": __version__, "host": self.host, "entries": self.entries}
        text = json.dumps(said, indent=1, ensure_ascii=False)
        for form in (key, json.dumps(key)[1:-1]) if len(key) >= answers.SHORTEST_KEY else ():
            text = answers.hidden(text, form)
        return text.encode("utf-8", "replace") + b"\n"


def _follow_limit(same: dict[str, Any], headers: Mapping[str, str]) -> None:
    """Keep what was left of a limit at last; where it rises, another window has begun, which says nothing."""
    before = same.get("last", same["headers"])
    left = [(before.get(name, ""), value) for name, value in headers.items() if "remaining" in name]
    rises = any(old.isdigit() and new.isdigit() and int(new) > int(old) for old, new in left)
    same.update({"risen": True} if rises or "risen" in same else {"last": headers, "counted": same["times"]})


def _said(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    headers = {
        name: None if LIMIT.search(name) else value for name, value in entry["headers"].items() if name != "date"
    }
    facts = {name: value for name, value in entry.get("facts", {}).items() if name != "skew"}
    return entry["url"], entry["status"], entry["failure"], headers, entry["body"], facts


class Recorder(Client):
    """A client that records what it sends and gets. ``step`` names the request, ``read`` says what it is read as."""

    step = ""
    own = ""
    cassette: Cassette
    redactor: Redactor
    saved: Callable[[], object]
    read: Reading | None = None

    def send(self, request: Request) -> Answer:
        """Send one request and record it."""
        began, at = time.monotonic(), self.clock()
        answer = super().send(request)
        self.record(request.method, request.url, request.scheme, at, time.monotonic() - began, answer)
        return answer

    def record(self, method: str, url: str, scheme: str, at: float, took: float, answer: Answer, **facts: Any) -> None:
        """Record an exchange, and keep the cassette at once: the next moment may be a kill."""
        entry: dict[str, Any] = {"step": self.step, "method": method, "url": self.redactor.url(url), "key": scheme}
        entry |= {"at": round(at, 1), "took": round(took, 3)}
        entry |= {"status": None, "headers": {}, "body": None, "failure": ""}
        if isinstance(answer, Response):
            entry |= {"status": answer.status, "headers": self.redactor.headers(answer.headers)}
            facts |= self._read_as(answer)
            if (told := moment_of(answer.headers.get("date", ""))) is not None:
                facts["skew"] = round(answer.at - told)
            if "format" not in facts:
                entry["body"] = self.redactor.body(answer, self.own, self.step.startswith("history"))
        else:
            entry |= {"failure": _failure(answer.reason), "sent": answer.sent}
        self.cassette.add({**entry, "facts": facts} if facts else entry)
        self.saved()

    def _read_as(self, answer: Response) -> dict[str, Any]:
        """Return what the package makes of an answer: facts, a status, or the name of an error."""
        if self.read is None:
            return {}
        try:
            found = self.read(answer)
        except SegmindError as error:
            return {"read_as": type(error).__name__}
        return found if isinstance(found, dict) else {"read_as": self.redactor.value(found, "status")}


def _failure(reason: str) -> str:
    """Return why there is no answer, without the host that it names."""
    name, _, rest = reason.partition(" ")
    words = rest.partition(": ")[2]
    return f"{name}: {words}" if words else name


class Folder:
    """The folder of one examination: report and cassette to share, and the record of the order, which is private."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            with _opened(path.parent) as parent:
                os.fsync(parent)
            self._lock = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise InvalidRequestError(
                f"The folder {path} cannot be written ({error.strerror}): give another with --out."
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            busy = isinstance(error, BlockingIOError)
            why = "Another run of the doctor works in it: wait for its end" if busy else "Its disk has no locks"
            raise InvalidRequestError(f"{path} cannot be used. {why}, or give another folder with --out.") from None

    def close(self) -> None:
        """Let other runs have the folder."""
        os.close(self._lock)

    def cassette(self, host: str) -> Cassette:
        """Return the cassette of earlier runs, or a new one."""
        said = self._read("cassette.json")
        if said is None:
            return Cassette(host)
        entries = said.get("entries")
        if said.get("cassette") != VERSION or said.get("host") != host:
            raise InvalidRequestError(
                f"{self.path} holds the cassette of another host ({answers.name(said.get('host'))}) or of another "
                "version of this package: give another folder with --out."
            )
        if not isinstance(entries, list) or not all(map(_is_entry, entries)):
            raise self._unreadable("cassette.json")
        return Cassette(host, entries)

    def order(self) -> dict[str, Any] | None:
        """Return what is kept of the order, or ``None`` if none was begun."""
        return self._read("order.json")

    def keep_order(self, said: Mapping[str, Any], *, first: bool = False) -> None:
        """Keep the order's record, safe from a power cut, or raise: if it is the ``first``, ``InvalidRequestError``."""
        try:
            self.write("order.json", json.dumps(said, indent=1).encode(), durably=True, exclusively=first)
        except FileExistsError:
            raise InvalidRequestError(
                "Another run has just begun an order in this folder: run this again to continue with it."
            ) from None
        except OSError as error:
            if not first:
                raise
            raise InvalidRequestError(
                f"The order's record cannot be kept safely in this folder ({error.strerror}), so nothing is ordered: "
                "give a folder on another disk with --out."
            ) from None

    def drop_order(self) -> None:
        """Forget an order that was certainly refused."""
        (self.path / "order.json").unlink()
        self._sync()

    def write(self, name: str, data: bytes, *, durably: bool = False, exclusively: bool = False) -> None:
        """Write a file whole; only its owner may read it. ``durably``: when this returns, it is on the disk."""
        # A name of its own: two machines that have no lock in common must not write into one file.
        handle, whole = tempfile.mkstemp(prefix=f".{name}.", dir=self.path)
        try:
            with open(handle, "wb") as file:  # noqa: PTH123
                file.write(data)
                file.flush()
                if durably:
                    os.fsync(file.fileno())
            # A link fails if there is a file, whatever locks the disk has.
            (os.link if exclusively else os.replace)(whole, self.path / name)
        finally:
            Path(whole).unlink(missing_ok=True)
        if durably:
            self._sync()

    def _sync(self) -> None:
        with _opened(self.path) as folder:
            os.fsync(folder)

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.path / name
        try:
            said = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            said = None
        if not isinstance(said, dict):
            raise self._unreadable(name)
        return said

    def _unreadable(self, name: str) -> InvalidRequestError:
        return InvalidRequestError(
            f"{self.path / name} cannot be read, so nothing is ordered: look at it, or give another folder with --out."
        )


_ENTRY: dict[str, Any] = {"step": str, "method": str, "url": str, "key": str, "at": float | int, "took": float | int,
                          "status": int | None, "headers": dict, "body": object, "failure": str}  # fmt: skip
_MORE: dict[str, Any] = {"sent": bool, "times": int, "counted": int, "until": float | int, "facts": dict, "last": dict}


def _is_entry(one: Any) -> bool:
    """Whether an entry of a file has the form that a run gives it; somebody may have edited it."""
    if not isinstance(one, dict) or not one.keys() >= _ENTRY.keys():
        return False
    if not all(isinstance(one[name], kind) for name, kind in {**_ENTRY, **_MORE}.items() if name in one):
        return False
    return all(isinstance(text, str) for fields in (one["headers"], one.get("last", {})) for text in fields.values())


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    folder = os.open(path, os.O_RDONLY)
    try:
        yield folder
    finally:
        os.close(folder)
