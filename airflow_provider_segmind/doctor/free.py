"""What costs nothing: who answers, in which form the key is taken, uploads, errors, the history."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segmind.api import history, protocol
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.urls import parse_url
from airflow_provider_segmind.api.wire import Failure, Request, Response
from airflow_provider_segmind.doctor.bench import WRONG_KEY, Bench
from airflow_provider_segmind.doctor.cassette import Recorder
from airflow_provider_segmind.doctor.tape import is_answer
from airflow_provider_segmind.emulator import samples

STEPS = ("wrong-key", "bearer", "x-api-key", "unknown-job", "upload", "file", "history", "unknown-workflow")
UNKNOWN_JOB = "00000000000000000000000000000000"
UNKNOWN_WORKFLOW = "missing-000000000000000000000000-v1"
SECONDS = 30.0
"""Seconds after which no further free request is begun."""
_ANSWER = 6.0
"""Seconds for each answer, so that a silent host does not use up the time of the others."""


class _Gate:
    """Sends a free request, unless the time is up or its host was silent before."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._began = time.monotonic()
        self._silent: dict[str, str] = {}
        quick = replace(
            bench.settings,
            connect_timeout=min(5.0, bench.settings.connect_timeout),
            read_timeout=min(_ANSWER, bench.settings.read_timeout),
        )
        self.client = bench.recorder(quick)
        self.without_key = bench.recorder(replace(quick, api_key=WRONG_KEY))

    def may_ask(self, step: str, url: str) -> bool:
        """Whether a request is worth its time."""
        host = urlsplit(url).netloc
        if host in self._silent:
            self._bench.skipped[step] = self._silent[host]
        elif time.monotonic() - self._began > SECONDS:
            self._bench.skipped[step] = "the time was up"
        return step not in self._bench.skipped

    def ask(
        self, step: str, request: Request, read: Callable[[Response], Any] | None = None, client: Recorder | None = None
    ) -> Response | None:
        """Return the answer; ``None`` if there is none."""
        if not self.may_ask(step, request.url):
            return None
        answer = self._bench.ask(step, request, read, client or self.client)
        if isinstance(answer, Failure):
            host = urlsplit(request.url).netloc
            self._bench.skipped[step] = self._silent[host] = f"{host} {_why(host)}"
            return None
        return answer


def _why(host: str) -> str:
    try:
        socket.getaddrinfo(urlsplit(f"//{host}").hostname, None)
    except (OSError, UnicodeError):
        return "is not found by this machine's DNS"
    return "did not answer"


def look(bench: Bench) -> None:
    """Ask for everything that is free; it takes less than a minute, whatever answers."""
    gate, settings = _Gate(bench), bench.settings
    asked = next((one for one in bench.cassette.entries if one["step"] == "unknown-workflow" and is_answer(one)), None)
    # What this run asks again counts anew, also if nothing answers.
    bench.cassette.entries[:] = [one for one in bench.cassette.entries if one["step"] not in STEPS or one is asked]
    gate.ask("wrong-key", protocol.credits_request(settings, "bearer"), client=gate.without_key)
    if not bench.has_key:
        bench.skipped |= dict.fromkeys(STEPS[1:], "there was no key")
        return
    scheme = _try_schemes(bench, gate)
    job = f"{settings.base_url}/workflows/request/{UNKNOWN_JOB}"
    poll = protocol.poll_request(settings, job, scheme)
    gate.ask("unknown-job", poll, lambda answer: protocol.read_poll(settings, answer, job).status)
    _upload(bench, gate, scheme)
    if settings.history_url:
        now = bench.clock()
        gate.ask("history", history.history_request(settings, (now, now), 1, scheme))
    else:
        bench.skipped["history"] = "the connection has no history_url"
    if asked is None:
        # Once for each folder: whatever the service makes of it, it is not asked twice.
        order = protocol.submit_request(settings, UNKNOWN_WORKFLOW, {}, scheme)
        gate.ask("unknown-workflow", order, lambda answer: _submitted(bench, answer))


def _submitted(bench: Bench, answer: Response) -> str:
    return protocol.read_submit(bench.settings, answer, UNKNOWN_WORKFLOW).status


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
