"""What a peer can do within one exchange: drip, break off, speak another protocol, fail the handshake."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.errors import (
    OutcomeUnknownError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.transport import exchange, time_left
from airflow_provider_segmind.api.wire import MAX_BODY, Failure, Request
from airflow_provider_segmind.emulator import Emulator
from tests.api.drive import KEY, WORKFLOW
from tests.api.sending import PACE, Run, Steps, order, run_sync, settings_for


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve raw bytes on a socket, one connection after the other."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                answer(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


DRIPS = 1000


OK = b"HTTP/1.1 200 OK\r\n"


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


ENDLESS = {
    "body": (OK + b"Content-Length: 100000\r\n\r\n", b" "),
    "status line": (b"HTTP/1.1 200 O", b"K"),
    "header": (OK + b"X: ", b"a"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "extension of a chunk": (CHUNKED + b"1;", b"a"),
    "trailer": (CHUNKED + b"1\r\n{\r\n0\r\nX: ", b"a"),
}


class Dripping:
    """A peer that sends some bytes at once and then one piece after the other, so slowly that it never ends."""

    def __init__(self, start: bytes, piece: bytes, *, asks: bool = True, tls: ssl.SSLContext | None = None) -> None:
        self.start, self.piece, self.asks, self.tls = start, piece, asks, tls
        self.sent = 0

    def __call__(self, connection: socket.socket) -> None:
        try:
            if self.tls is not None:
                with self.tls.wrap_socket(connection, server_side=True) as safe:
                    self.drip(safe)
            else:
                self.drip(connection)
        except OSError:
            pass

    def drip(self, connection: socket.socket) -> None:
        if self.asks:
            connection.recv(65536)
        connection.sendall(self.start)
        for _ in range(DRIPS):
            connection.sendall(self.piece)
            self.sent += 1
            time.sleep(0.01)  # a slow peer is what is tested


@pytest.mark.parametrize(("start", "piece"), ENDLESS.values(), ids=ENDLESS)
def test_an_answer_that_drips_for_ever_is_given_up(run: Run, start: bytes, piece: bytes) -> None:
    """A timeout for each read is never met by who sends a byte now and then, in whatever part of an answer."""
    peer = Dripping(start, piece)
    with serving(peer) as url:
        settings = Settings.from_connection(host=url, password=KEY, extra={"timeout": 0.15})
        with pytest.raises(OutcomeUnknownError):
            run(settings, lambda s, a: flow.submit(s, a, "abc-v1", {}))
    assert 0 < peer.sent < DRIPS, "it was read to its end"


@pytest.mark.parametrize(("start", "piece"), ENDLESS.values(), ids=ENDLESS)
def test_an_answer_that_drips_for_ever_over_tls_is_given_up(tmp_path: Path, start: bytes, piece: bytes) -> None:
    peer = Dripping(start, piece, tls=own_tls(tmp_path))
    with serving(peer) as url:
        extra = {"timeout": 0.15, "verify": str(tmp_path / "ca.pem")}
        settings = Settings.from_connection(host=url.replace("http:", "https:"), password=KEY, extra=extra)
        with pytest.raises(OutcomeUnknownError):
            run_sync(settings, lambda s, a: flow.submit(s, a, "abc-v1", {}))
    assert 0 < peer.sent < DRIPS, "it was read to its end"


def own_tls(folder: Path) -> ssl.SSLContext:
    """Return a server's certificate of an authority that is written to ``ca.pem``."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


TUNNEL = b"HTTP/1.1 200 OK\r\n"


HANDSHAKE = b"\x16\x03\x03\x40\x00"
"""The beginning of a record of TLS of 16 KiB."""


@pytest.mark.parametrize("safe", [False, True], ids=["http proxy", "https proxy"])
@pytest.mark.parametrize(
    ("start", "piece"), [(TUNNEL + b"X: ", b"a"), (TUNNEL + b"\r\n" + HANDSHAKE, b"\x02")], ids=["answer", "handshake"]
)
def test_a_proxy_that_drips_for_ever_is_given_up_and_nothing_was_sent(
    tmp_path: Path, start: bytes, piece: bytes, safe: bool
) -> None:
    peer = Dripping(start, piece, tls=own_tls(tmp_path) if safe else None)
    with serving(peer) as url:
        proxies = {"https": url.replace("http:", "https:") if safe else url}
        extra = {"timeout": 0.1, "proxies": proxies, "verify": str(tmp_path / "ca.pem") if safe else True}
        settings = Settings.from_connection(host=None, password=KEY, extra=extra)
        with pytest.raises(TransportError, match="nothing was sent"):
            run_sync(settings, lambda s, a: flow.submit(s, a, "abc-v1", {}, pace=PACE))
    assert peer.sent < DRIPS


def test_a_peer_that_reads_slowly_for_ever_is_given_up(tmp_path: Path) -> None:
    read, over, tls = 0, threading.Event(), own_tls(tmp_path)

    def sip(connection: socket.socket) -> None:
        nonlocal read
        with tls.wrap_socket(connection, server_side=True) as safe:
            while not over.wait(0.02):
                read += len(safe.recv(4096))

    with serving(sip) as url:
        extra = {"timeout": 0.3, "verify": str(tmp_path / "ca.pem")}
        settings = Settings.from_connection(host=url.replace("http:", "https:"), password=KEY, extra=extra)
        with pytest.raises(OutcomeUnknownError):
            run_sync(settings, lambda s, a: flow.submit(s, a, "abc-v1", {"seed": "x" * 2**24}))
        over.set()
    assert read < 2**20


def test_an_answer_that_unpacks_to_gigabytes_is_taken_as_it_came(run: Run) -> None:
    """Compression was not asked for; a library that unpacks it anyway fills the memory of the triggerer."""
    body = gzip.compress(bytes(200_000_000), mtime=0)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head + body)

    def steps(s: Settings, a: flow.Auth) -> flow.Flow[Any]:
        return (yield flow.Send(Request("GET", f"{s.base_url}/workflows/request/1", "bearer")))

    with serving(answer) as url:
        received = run(Settings(url, KEY), steps)
    assert received.body == body


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n\xff\xff",
        b"HTTP/1.1 200 OK\r\nRetry-After: \xff\xfe\xd8\r\nDate: \xff\r\nContent-Type: \x80\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: \xff=\xff;;;=\r\nLocation: //\xff\r\n\r\n{}",
        b"HTTP/1.1 99999 \xff\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n{}",
        b"\xff\x00 no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n{}",
        b"",
    ],
    ids=range(11),
)
def test_an_answer_that_is_no_http_is_an_error_of_ours_and_an_order_may_have_been_accepted(
    run: Run, head: bytes
) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head)

    with serving(answer) as url, pytest.raises(SegmindError) as error:
        run(Settings(url, KEY), lambda s, a: flow.order(s, a, WORKFLOW, {}))
    assert isinstance(error.value, OutcomeUnknownError)
    with serving(answer) as url, pytest.raises((ServiceError, TransportError)):
        run(Settings(url, KEY), lambda s, a: flow.ask(s, a, f"{url}/workflows/request/1"))


@pytest.mark.parametrize("length", [b"", b"Content-Length: 2\r\n"], ids=["of no length", "whose length is a lie"])
def test_an_answer_is_not_loaded_beyond_what_one_may_have(run: Run, length: bytes) -> None:
    sent = 0

    def answer(connection: socket.socket) -> None:
        nonlocal sent
        connection.recv(65536)
        connection.sendall(OK + length + b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(1000):
                connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
                sent += 65536

    with serving(answer) as url, pytest.raises((ServiceError, TransportError)):
        run(Settings(url, KEY), lambda s, a: flow.ask(s, a, f"{url}/workflows/request/1"))
    assert sent < 8 * MAX_BODY


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_is_checked_with_the_systems_bundle_or_the_connections_own(run: Run, tmp_path: Path) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    balance: Steps = lambda s, a: flow.get_credits(s, a, pace=PACE)  # noqa: E731
    with Emulator(ssl_context=context) as emulator:
        assert run(settings_for(emulator, verify=str(bundle)), balance) == 100
        with pytest.raises(TransportError, match="nothing was sent"):
            run(settings_for(emulator), balance)


def test_a_failed_handshake_means_that_an_order_was_not_sent(run: Run) -> None:
    """A certificate that is refused is found before the first byte of the order."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Emulator(ssl_context=context) as emulator:
        with pytest.raises(TransportError, match="nothing was sent"):
            run(settings_for(emulator), order(emulator))
        assert emulator.charges == ()


def test_a_proxy_of_the_connection_is_used_and_one_that_refuses_the_tunnel_means_that_an_order_was_not_sent(
    run: Run,
) -> None:
    seen: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with serving(refuse) as url:
        settings = Settings.from_connection(host=None, password=KEY, extra={"proxies": {"https": url}})

        def steps(s: Settings, a: flow.Auth) -> flow.Flow[Any]:
            answer = yield flow.Send(Request("POST", "https://api.segmind.com/workflows/abc-v1", "bearer", {}))
            return answer

        answer = run(settings, steps)
    assert isinstance(answer, Failure)
    assert not answer.sent
    assert seen[0].startswith(b"CONNECT api.segmind.com:443 ")
    assert KEY.encode() not in seen[0]


def test_when_the_time_of_a_whole_exchange_is_over_no_step_of_it_begins() -> None:
    assert time_left(3.0) == 3.0
    with exchange(60.0):
        assert time_left(3.0) == 3.0
        assert 3.0 < (time_left(None) or 0.0) <= 60.0
    with exchange(0.0), pytest.raises(TimeoutError, match="too long as a whole"):
        time_left(3.0)
