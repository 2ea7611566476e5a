"""A host on a real socket that sends pictures, and everything else that a host can send."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import pytest
from PIL import Image


def picture(kind: str = "PNG", size: tuple[int, int] = (900, 600), colour: str = "red", **more: Any) -> bytes:
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, kind, **more)
    return out.getvalue()


PICTURE = picture()
KEY = "SG_the_key_itself"


class OddHost(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.failures = 0
        self.redirect = ""
        self.streamed = 0
        self.pictures: dict[str, bytes] = {}
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}  # status, body and headers by path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def paths(self) -> list[str]:
        return [path for path, _ in self.seen]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: OddHost

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        path = self.path.partition("?")[0]
        if path in self.server.answers:
            status, body, headers = self.server.answers[path]
            self.answer(body, status, **headers)
        elif path in self.server.pictures:
            self.answer(self.server.pictures[path])
        else:
            getattr(self, "send_" + path.strip("/").partition(".")[0].replace("-", "_"))()

    def answer(self, body: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def send_good(self) -> None:
        self.answer(PICTURE, Content_Type="text/plain")

    def send_cut(self) -> None:
        self.answer(PICTURE[: len(PICTURE) // 2], length=len(PICTURE))

    def send_cut_once(self) -> None:
        self.send_good() if self.server.paths().count(self.path) > 1 else self.send_cut()

    def send_busy_once(self) -> None:
        if self.server.paths().count(self.path) > 1:
            self.send_good()
        else:
            self.answer(b"", 429, Retry_After="1")

    def send_gone(self) -> None:
        self.answer(b"no such file", 404)

    def send_private(self) -> None:
        self.answer(b"sign in", 403)

    def send_broken(self) -> None:
        self.answer(b"oops", 503)

    def send_html(self) -> None:
        self.answer(b"<html>\n<h1>Sign in first</h1></html>", Content_Type="image/png")

    def send_garbage(self) -> None:
        self.answer(PICTURE[:48] + b"\0" * 40 + PICTURE[88:])

    def send_short_length(self) -> None:
        self.answer(PICTURE, length=len(PICTURE) - 10)

    def send_huge(self) -> None:
        self.answer(PICTURE, length=60 * 2**20)

    def send_ranged(self) -> None:
        size = int(self.headers["Range"].rpartition("-")[2]) + 1
        self.answer(PICTURE[:size], 206, Content_Range=f"bytes 0-{size - 1}/{60 * 2**20}")

    def send_endless(self) -> None:
        # What a kernel keeps for a reader that is slow would count as read.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)
        self.send_response(200)
        self.end_headers()
        for _ in range(2048):
            self.wfile.write(PICTURE[:8] + b"\0" * (2**20 - 8))
            self.server.streamed += 2**20

    def send_drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        for byte in PICTURE:
            self.wfile.write(bytes([byte]))
            time.sleep(0.05)

    def send_drip_header(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(200):
            self.wfile.write(b"a")
            time.sleep(0.05)
        self.wfile.write(b"\r\nContent-Length: %d\r\n\r\n%s" % (len(PICTURE), PICTURE))

    def send_moved(self) -> None:
        self.answer(b"", 302, Location=self.server.redirect)

    def send_loop(self) -> None:
        self.answer(b"", 302, Location="/loop")


@contextmanager
def odd_host() -> Iterator[OddHost]:
    host = OddHost()
    thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield host
    finally:
        host.shutdown()
        thread.join()
        host.server_close()


@contextmanager
def own_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddHost]:
    """Make it the default connection's own host."""
    with odd_host() as host:
        connection = {"conn_type": "segmind", "host": host.url, "password": KEY}
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(connection))
        yield host
