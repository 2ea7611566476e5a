"""One examination: what is free (the key, uploads, errors, the history), then the order, then the report."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from airflow_provider_segmind.api import history, protocol
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.urls import parse_url
from airflow_provider_segmind.api.wire import Failure, Request, Response
from airflow_provider_segmind.doctor.bench import WRONG_KEY, Bench
from airflow_provider_segmind.doctor.cassette import Folder, Reading, Recorder
from airflow_provider_segmind.doctor.here import airflow_here
from airflow_provider_segmind.doctor.order import Order
from airflow_provider_segmind.doctor.reading import Entry, may_be_accepted
from airflow_provider_segmind.doctor.report import Report, judge
from airflow_provider_segmind.emulator import samples

_FREE = ("wrong-key", "bearer", "x-api-key", "unknown-job", "upload", "file", "history", "unknown-workflow")
_UNKNOWN_JOB = "00000000000000000000000000000000"
_UNKNOWN_WORKFLOW = "missing-000000000000000000000000-v1"
_SECONDS = 25.0
"""Seconds after which no further free request is sent."""
_ANSWER = 12.0
"""Seconds for each answer: a silent host must not use up the time of the others, a slow one may be used by tasks."""


def examine(
    settings: Settings,
    out: Path,
    *,
    agree: Callable[[str], bool] | None = None,
    minutes: float = 0.0,
    say: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    here: Callable[[], list[str]] = airflow_here,
) -> Report:
    """
    Find out what the service does, and write ``report.md`` and ``cassette.json``.

    :param out: folder of the examination; a run continues with the order of a run before.
    :param agree: asks the person before an order; ``None``: no order is sent.
    :param minutes: how long to look whether record and picture are still there.
    :param say: prints a line for the person.
    :param here: returns what is seen of Airflow.
    :return: the report, also if it was interrupted with Ctrl-C.
    :raises InvalidRequestError: the folder cannot be used.
    """
    folder = Folder(out)
    try:
        bench = Bench(settings, folder, say=say, clock=clock, sleep=sleep)
    except BaseException:
        folder.close()
        raise
    try:
        order = Order(bench, agree or (lambda _: False))
        try:
            say("Asking for what is free …")
            _look(bench)
            _order(bench, order, is_wanted=agree is not None)
            if minutes > 0:
                _report(bench, clock(), [])  # somebody may end the long look below with a kill
            if bench.client.auth.known:
                order.later(minutes)
        except KeyboardInterrupt:
            bench.notes.append("Interrupted. Run it again with --order and the same folder: it goes on.")
        return _report(bench, clock(), here())
    finally:
        bench.close()


def _order(bench: Bench, order: Order, *, is_wanted: bool) -> None:
    """Order, or go on with the order of an earlier run."""
    if order.exists and bench.client.auth.known is None:
        bench.notes.append("The order of an earlier run could not be asked for. Run this again.")
    elif is_wanted:
        order.place()
        order.watch()
    elif order.is_open:
        bench.notes.append(
            "An earlier run's order is not seen to its end. Run this with --order: it goes on, and orders nothing more."
        )


def _report(bench: Bench, at: float, here: Sequence[str]) -> Report:
    """Return the report, and write it and the cassette."""
    report = Report(at, bench.cassette, judge(bench.cassette, bench.skipped), bench.notes, here)
    bench.save()
    try:
        bench.folder.write("report.md", str(report).encode())
    except OSError as error:
        bench.say(f"The report cannot be written ({error.strerror}).")
    return report


class _Gate:
    """Sends a free request, unless the time is up or its host was silent before."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._began = time.monotonic()
        self._silent: dict[str, str] = {}
        quick = replace(bench.settings, read_timeout=min(_ANSWER, bench.settings.read_timeout))
        self.client = bench.recorder(quick)
        self.without_key = bench.recorder(replace(quick, api_key=WRONG_KEY))

    def may_ask(self, step: str, url: str) -> bool:
        """Whether a request is worth its time."""
        host = urlsplit(url).netloc
        if host in self._silent:
            self._bench.skipped[step] = self._silent[host]
        elif time.monotonic() - self._began > _SECONDS:
            self._bench.skipped[step] = "the time was up"
        return step not in self._bench.skipped

    def ask(
        self, step: str, request: Request, read: Reading | None = None, client: Recorder | None = None
    ) -> Response | None:
        """Return the answer; ``None`` if there is none."""
        if not self.may_ask(step, request.url):
            return None
        answer = self._bench.ask(step, request, read, client or self.client)
        if isinstance(answer, Failure):
            self._bench.skipped[step] = self._silent[urlsplit(request.url).netloc] = answer.reason
            return None
        return answer


def _look(bench: Bench) -> None:
    """Ask for everything that is free; it takes less than a minute, whatever answers."""
    gate, settings = _Gate(bench), bench.settings
    # What this run asks again counts anew, also if nothing answers.
    bench.cassette.entries[:] = [one for one in bench.cassette.entries if one["step"] not in _FREE or _is_spent(one)]
    gate.ask("wrong-key", protocol.credits_request(settings, "bearer"), client=gate.without_key)
    if not bench.has_key:
        bench.skipped |= dict.fromkeys(_FREE[1:], "there was no key")
        return
    scheme = _try_schemes(bench, gate)
    job = f"{settings.base_url}/workflows/request/{_UNKNOWN_JOB}"
    poll = protocol.poll_request(settings, job, scheme)
    gate.ask("unknown-job", poll, lambda answer: protocol.read_poll(settings, answer, job).status)
    _upload(bench, gate, scheme)
    if settings.history_url:
        now = bench.clock()
        gate.ask("history", history.history_request(settings, (now, now), 1, scheme))
    else:
        bench.skipped["history"] = "the connection has no history_url"
    _order_unknown(bench, gate, scheme)


def _is_spent(one: Entry) -> bool:
    """Whether an order of an unknown workflow went out and may be answered otherwise than "too many requests"."""
    went_out = one["status"] is not None or may_be_accepted(one)
    return one["step"] == "unknown-workflow" and went_out and one["status"] != 429


def _order_unknown(bench: Bench, gate: _Gate, scheme: str) -> None:
    """Order of a workflow that does not exist, once for each folder: a service that takes it may bill it."""
    order = protocol.submit_request(bench.settings, _UNKNOWN_WORKFLOW, {}, scheme)
    if any(map(_is_spent, bench.cassette.entries)) or not gate.may_ask("unknown-workflow", order.url):
        return
    # As if its answer were lost, until it comes: a kill must not make the next run send it again.
    bench.client.step = "unknown-workflow"
    bench.client.record("POST", order.url, scheme, bench.clock(), 0.0, Failure(sent=True, reason="Interrupted"))
    if not bench.save():
        bench.skipped["unknown-workflow"] = "the folder cannot be written"
        bench.cassette.entries.pop()
    else:
        read = protocol.read_submit
        gate.ask("unknown-workflow", order, lambda answer: read(bench.settings, answer, _UNKNOWN_WORKFLOW).status)


def _try_schemes(bench: Bench, gate: _Gate) -> str:
    """Ask for the balance in both forms of the key, and return the first that is taken."""
    taken = []
    for scheme in ("bearer", "x-api-key"):
        answer = gate.ask(scheme, protocol.credits_request(bench.settings, scheme))
        if answer is None or answer.status in (401, 403):
            continue
        try:
            bench.balance = protocol.read_credits(bench.settings, answer)
            taken.append(scheme)
        except SegmindError:
            taken += [scheme] if answer.status < 300 else []
    bench.client.auth.known = taken[0] if taken else None
    return taken[0] if taken else "bearer"


def _upload(bench: Bench, gate: _Gate, scheme: str) -> None:
    """Upload two drawn photographs, which show nobody, and fetch the first as anybody can."""
    pictures = {"scene": samples.draw("scene", 0, "JPEG"), "person": samples.draw("person", 1, "JPEG")}
    bench.pictures = pictures
    for name, data in pictures.items():
        data_url = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
        answer = gate.ask("upload", protocol.upload_request(bench.settings, data_url, scheme))
        if answer is None:
            break
        try:
            bench.uploads[name] = protocol.read_upload(bench.settings, answer)
        except SegmindError as error:
            bench.skipped["file"] = f"the upload cannot be read ({type(error).__name__})"
            break
    url = bench.uploads.get("scene", "")
    if parse_url(url) is None:
        bench.skipped.setdefault("file", "there was no upload")
    elif gate.may_ask("file", url):
        bench.fetch("file", url, same_as=pictures["scene"], seconds=2 * _ANSWER)
