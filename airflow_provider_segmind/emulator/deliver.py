"""Send an answer, or fail as it demands."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from aiohttp import web

from airflow_provider_segmind.emulator.answers import Answer
from airflow_provider_segmind.emulator.journal import Recorded

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_DRIP_PIECES = 20
_MEBIBYTE = 1024 * 1024
_AS_SAID = {"X-Content-Type-Options": "nosniff"}
"""Browsers must not guess another content type, such as a page with scripts."""


async def deliver(request: web.BaseRequest, answer: Answer, record: Recorded | None) -> web.StreamResponse:
    """
    Send an answer.

    :param record: Gets the status before the answer leaves, so that the client never sees it earlier.
    """
    if answer.delay > 0:
        await asyncio.sleep(answer.delay)
    if answer.delivery == "close":
        return _hang_up(request)
    if answer.delivery == "reset":
        _reset_on_close(request)
        return _hang_up(request)
    if record:
        record.status = answer.status
    if answer.delivery == "truncated":
        return await _truncate(request, answer)
    if answer.delivery == "drip" or len(answer.body) > _MEBIBYTE:
        return await _stream(request, answer)
    headers = {**_AS_SAID, **dict(answer.headers)}
    if answer.media_type:
        headers["Content-Type"] = answer.media_type
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _hang_up(request: web.BaseRequest) -> web.Response:
    if request.transport:
        request.transport.abort()
    # Never sent: the connection is gone.
    return web.Response()


def _reset_on_close(request: web.BaseRequest) -> None:
    connection = request.transport.get_extra_info("socket") if request.transport else None
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def _open(answer: Answer, length: int) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers={**_AS_SAID, **dict(answer.headers)})
    response.content_type = answer.media_type or "application/octet-stream"
    response.content_length = length
    return response


async def _truncate(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    response = _open(answer, len(answer.body) + 100)
    # A client that disconnects first also gets no complete answer.
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write(answer.body[: max(1, len(answer.body) // 2)])
        if request.transport:
            request.transport.close()
    return response


async def _stream(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    response = _open(answer, len(answer.body))
    pieces = _DRIP_PIECES if answer.delivery == "drip" else -(-len(answer.body) // _MEBIBYTE)
    size = max(1, -(-len(answer.body) // pieces))
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        for start in range(0, len(answer.body), size):
            await response.write(answer.body[start : start + size])
            await asyncio.sleep(answer.drip / pieces)
        await response.write_eof()
    return response
