"""A server on a real socket that speaks as much S3 as reading and writing one object takes, and fails as S3 does."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import s3fs

from tests.provider.odd_host import PICTURE

ANSWERS = {
    # What S3 answers, by the first part of a key: status and code.
    "slow-down": (503, "SlowDown"),
    "internal": (500, "InternalError"),
    "unavailable": (503, "ServiceUnavailable"),
    "too-many": (429, "TooManyRequests"),
    "request-timeout": (400, "RequestTimeout"),
    "denied": (403, "AccessDenied"),
    "unknown-key": (403, "InvalidAccessKeyId"),
    "signature": (403, "SignatureDoesNotMatch"),
    "expired": (400, "ExpiredToken"),
    "no-bucket": (404, "NoSuchBucket"),
    "no-key": (404, "NoSuchKey"),
    "elsewhere": (301, "PermanentRedirect"),
    "malformed": (400, "InvalidRequest"),
}
PASSING = ("slow-down", "internal", "unavailable", "too-many", "request-timeout")
BROKEN = ("cut", "reset", "hang")
"""What the line does, instead of an answer: to a GET after a good HEAD, and to each PUT."""


class FaultyS3(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.over = threading.Event()
        self.repaired = False
        self.kept: dict[str, bytes] = {}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A line that breaks is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultyS3
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None: ...

    def do_HEAD(self) -> None:
        self.serve()

    def do_GET(self) -> None:
        self.serve()

    def do_PUT(self) -> None:
        self.data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.serve()

    def do_DELETE(self) -> None:
        self.answer(b"")

    def serve(self) -> None:
        key = self.path.partition("?")[0].removeprefix("/bucket").strip("/")
        mode = key.partition("/")[0].partition(".")[0]
        if self.server.repaired:
            self.good(key)
        elif "list-type=" in self.path:
            self.answer(b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>", kind="application/xml")
        elif mode in ANSWERS and (mode, self.command) != ("request-timeout", "HEAD"):
            self.refuse(*ANSWERS[mode])
        elif mode in BROKEN and self.command != "HEAD":
            self.close_connection = True
            getattr(self, mode)()
        else:
            self.good(key)

    def refuse(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>It is {code}.</Message></Error>".encode()
        self.answer(b"" if self.command == "HEAD" else body, status, "application/xml")

    def good(self, key: str) -> None:
        if self.command == "PUT":
            self.server.kept[key] = self.data
            self.answer(b"")
        else:
            self.answer(PICTURE)

    def answer(self, body: bytes, status: int = 200, kind: str = "image/png", missing: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Sun, 29 Nov 2026 17:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) - missing])

    def cut(self) -> None:
        self.answer(PICTURE, missing=len(PICTURE) // 2)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def hang(self) -> None:
        self.server.over.wait(10)


@cache
def _running() -> FaultyS3:
    # One for all tests of a process, because Airflow keeps a storage's client as long. Its thread is a daemon.
    server = FaultyS3()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


@contextmanager
def faulty_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """Run the server as the connection ``faulty``, whose client asks once and waits half a second."""
    server = _running()
    server.over.clear()
    server.repaired = False
    server.kept.clear()
    connect(monkeypatch, "faulty", f"http://127.0.0.1:{server.server_address[1]}")
    yield server
    server.over.set()


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, endpoint: str) -> None:
    """Make a server a connection."""
    config = {"connect_timeout": 0.5, "read_timeout": 0.5, "retries": {"max_attempts": 0}}
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1", "config_kwargs": config}
    connection = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "5ecret-key", "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
