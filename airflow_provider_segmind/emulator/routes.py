"""Route each request to its answer."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hmac
import ipaddress
import math
import re
import socket
import struct

from aiohttp import web

from airflow_provider_segmind.emulator import answers, endpoints
from airflow_provider_segmind.emulator.answers import Answer
from airflow_provider_segmind.emulator.control import Control
from airflow_provider_segmind.emulator.endpoints import Call
from airflow_provider_segmind.emulator.faults import Endpoint, Fault
from airflow_provider_segmind.emulator.journal import Journal, Recorded
from airflow_provider_segmind.emulator.pictures import FILE_PATHS, Pictures
from airflow_provider_segmind.emulator.state import State

_ROUTES: tuple[tuple[str, Endpoint, str], ...] = (
    (r"/workflows/request/(.*)", "poll", "GET"),
    (r"/workflows/((?:v2/)?[\w.-]+)", "submit", "POST"),
    (rf"((?:{'|'.join(FILE_PATHS)}).*)", "file", "GET"),
    (r"/v1/get-user-credits()", "credits", "GET"),
    (r"/upload-asset()", "upload", "POST"),
    (r"/inference-request/request-history(|/.*)", "history", "GET"),
)
"""Paths and their subjects, the kinds of request, and their methods."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_DRIP_PIECES = 20
_MISSING = 100
"""Bytes that a truncated answer promises beyond its end."""
_MEBIBYTE = 1024 * 1024
_AS_SAID = {"X-Content-Type-Options": "nosniff"}
"""Browsers must not guess another content type, such as a page with scripts."""


class Routes:
    """Answers every request; ``names``: the emulator's host names, beside addresses and ``localhost``."""

    def __init__(
        self, state: State, journal: Journal, pictures: Pictures, control: Control, names: tuple[str, ...]
    ) -> None:
        self._names = frozenset(name.lower() for name in ("localhost", *names))
        self._state = state
        self._journal = journal
        self._pictures = pictures
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
        answer = self._state.like.dated(await self._answer(request, path, body), now)
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
        base = f"{request.scheme}://{request.host}"
        if on != "file" and (refusal := self._refuse(request)):
            return self._state.like.shaped(on, refusal, base, self._state.clock())
        fault = self._state.faults.take(on, subject)
        answer = self._spoil_early(fault, subject) if fault else None
        if answer is not None:
            return answer
        if on == "file":
            answer = await self._pictures.file(path)
        else:
            made = endpoints.carry_out(self._state, Call(on, subject, request, body, base))
            answer = self._state.like.shaped(on, made, base, self._state.clock())
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
    for pattern, on, method in _ROUTES:
        if found := re.fullmatch(pattern, path, re.DOTALL):
            return on, method, found[1].strip("/") if on == "history" else found[1]
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


async def deliver(request: web.BaseRequest, answer: Answer, record: Recorded | None) -> web.StreamResponse:
    """Send an answer; the record gets the status before the answer leaves, so that the client never sees it earlier."""
    if answer.delay > 0:
        await asyncio.sleep(answer.delay)
    if answer.delivery in ("close", "reset"):
        return _hang_up(request, answer.delivery == "reset")
    if record:
        record.status = answer.status
    if answer.delivery != "whole" or len(answer.body) > _MEBIBYTE:
        return await _stream(request, answer)
    headers = {**_AS_SAID, **dict(answer.headers)}
    if answer.media_type:
        headers["Content-Type"] = answer.media_type
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _hang_up(request: web.BaseRequest, is_reset: bool) -> web.Response:
    connection = request.transport.get_extra_info("socket") if request.transport and is_reset else None
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    if request.transport:
        request.transport.abort()
    # Never sent: the connection is gone.
    return web.Response()


async def _stream(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """Send an answer in pieces; one that is to be truncated ends half-way."""
    is_cut = answer.delivery == "truncated"
    body = answer.body[: max(1, len(answer.body) // 2)] if is_cut else answer.body
    response = web.StreamResponse(status=answer.status, headers={**_AS_SAID, **dict(answer.headers)})
    response.content_type = answer.media_type or "application/octet-stream"
    response.content_length = len(answer.body) + (_MISSING if is_cut else 0)
    pieces = _DRIP_PIECES if answer.delivery == "drip" else max(1, math.ceil(len(body) / _MEBIBYTE))
    size = max(1, math.ceil(len(body) / pieces))
    # A client that disconnects first also gets no complete answer.
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        for start in range(0, len(body), size):
            await response.write(body[start : start + size])
            await asyncio.sleep(answer.drip / pieces)
        if not is_cut:
            await response.write_eof()
        elif request.transport:
            request.transport.close()
    return response
