"""Route each request to its answer."""

from __future__ import annotations

import dataclasses
import hmac
import ipaddress
import re

from aiohttp import web

from airflow_provider_segmind.emulator import answers, endpoints
from airflow_provider_segmind.emulator.answers import Answer
from airflow_provider_segmind.emulator.control import Control
from airflow_provider_segmind.emulator.deliver import deliver
from airflow_provider_segmind.emulator.endpoints import Call
from airflow_provider_segmind.emulator.faults import Endpoint, Fault
from airflow_provider_segmind.emulator.gallery import FILE_PATHS, Gallery
from airflow_provider_segmind.emulator.journal import Journal
from airflow_provider_segmind.emulator.state import State

_POLL = "/workflows/request/"
_HISTORY = "/inference-request/request-history"
_WORKFLOW = re.compile(r"/workflows/((?:v2/)?[\w.-]+)")


class Routes:
    """
    Answers every request.

    :param names: Host names of the emulator, beside addresses and ``localhost``.
    """

    def __init__(
        self, state: State, journal: Journal, gallery: Gallery, control: Control, names: tuple[str, ...]
    ) -> None:
        self._names = frozenset(name.lower() for name in ("localhost", *names))
        self._state = state
        self._journal = journal
        self._gallery = gallery
        self._control = control

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        path = request.path
        if stranger := self._turned_away(request):
            return await deliver(request, stranger, None)
        if path == "/" or path.startswith("/_emulator/"):
            return await deliver(request, await self._control.answer(request), None)
        body = await request.read() if request.can_read_body else b""
        now = self._state.clock()
        key = self._state.settings.api_key
        record = self._journal.add(now, request.method, request.path_qs, request.raw_headers, body, key)
        answer = await self._answer(request, path, body)
        if latency := self._state.settings.latency:
            answer = dataclasses.replace(answer, delay=answer.delay + latency)
        return await deliver(request, answer, record)

    def _turned_away(self, request: web.BaseRequest) -> Answer | None:
        """Refuse requests that a web page makes its visitor's browser send; such a page could act as a client."""
        host = request.headers.get("Host", "")
        if not self._is_known(host):
            # A page can make its own host name resolve to this machine, and could then read the answers.
            return answers.error(
                421, f"This emulator is not known as {host[:80]!r}. If it is to be, start it with --name and that host."
            )
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
        if (origin is None or origin == f"{request.scheme}://{host}") and site in ("none", "same-origin"):
            return None
        # Any page may show pictures and link to the overview, since it cannot read them.
        if request.method in ("GET", "HEAD") and (request.path == "/" or request.path.startswith(FILE_PATHS)):
            return None
        return answers.error(403, "A web page of another origin may not use this emulator.")

    def _is_known(self, host: str) -> bool:
        name = re.sub(r":\d*$", "", host).lower()
        if name in self._names:
            return True
        try:  # an address is no name, so no page can make it resolve to this machine
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    async def _answer(self, request: web.BaseRequest, path: str, body: bytes) -> Answer:
        on, method, subject = _route(path)
        if on is None:
            return answers.WRONG_PATH
        if request.method != method and not (on == "file" and request.method == "HEAD"):
            return answers.WRONG_METHOD
        if on != "file" and (refusal := self._refuse(request)):
            return refusal
        fault = self._state.faults.take(on, subject)
        answer = self._spoil_early(fault, subject) if fault else None
        if answer is not None:
            return answer
        base = f"{request.scheme}://{request.host}"
        if on == "file":
            answer = await self._gallery.file(path)
        else:
            answer = endpoints.carry_out(self._state, Call(on, subject, request, body, base))
        return self._spoil_late(fault, answer) if fault else answer

    def _refuse(self, request: web.BaseRequest) -> Answer | None:
        settings = self._state.settings
        if not _has_key(request, settings.auth, settings.api_key):
            return answers.UNAUTHORIZED
        now = self._state.clock()
        wait = self._state.window.take(now, settings.requests_per_minute, settings.rate_window)
        return answers.rate_limited(settings.rate_limit_headers, wait, now) if wait else None

    def _spoil_early(self, fault: Fault, request_id: str) -> Answer | None:
        if fault.is_after_acceptance:
            return None
        if fault.kind == "expired":
            self._state.lose(request_id)
        elif fault.failure:
            self._state.fail_now(request_id, fault.failure)
        return self._spoiled(fault, None)

    def _spoil_late(self, fault: Fault, good: Answer) -> Answer:
        if not fault.is_after_acceptance or good.status != 200:
            return good
        if fault.failure:
            newest = self._state.charges[-1].request_id
            self._state.jobs[newest].failure = fault.failure
        return self._spoiled(fault, good) or good

    def _spoiled(self, fault: Fault, good: Answer | None) -> Answer | None:
        return fault.answer(good, self._state.settings.rate_limit_headers, self._state.clock())


def _route(path: str) -> tuple[Endpoint | None, str, str]:
    """Return the kind of request, its method and its subject."""
    if path.startswith(_POLL):
        return "poll", "GET", path.removeprefix(_POLL)
    if workflow := _WORKFLOW.fullmatch(path):
        return "submit", "POST", workflow[1]
    if path.startswith(FILE_PATHS):
        return "file", "GET", path
    if path == "/v1/get-user-credits":
        return "credits", "GET", ""
    if path == "/upload-asset":
        return "upload", "POST", ""
    if path == _HISTORY or path.startswith(f"{_HISTORY}/"):
        return "history", "GET", path.removeprefix(_HISTORY).strip("/")
    return None, "", ""


def _has_key(request: web.BaseRequest, auth: str, key: str) -> bool:
    sent = []
    if auth != "bearer":
        sent.append(request.headers.get("x-api-key", ""))
    if auth != "x-api-key":
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        sent.append(token.strip() if scheme.lower() == "bearer" else "")
    expected = key.encode()
    # Compare all before using any result, so that the time taken does not show which one matched.
    matches = [hmac.compare_digest(one.encode("utf-8", "surrogateescape"), expected) for one in sent]
    return any(matches)
