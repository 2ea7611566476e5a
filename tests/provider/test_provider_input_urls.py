"""Inputs by URL: looked at before they are paid for, in the words of an input, and never with the key."""

from __future__ import annotations

import gzip
import hashlib
import logging
import socket
import threading
import time
import traceback
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import (
    InvalidRequestError,
    JobExpiredError,
    RateLimitError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.media import MAX_BYTES
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.files.download import Limits, picture_bytes
from airflow_provider_segmind.files.fetching import fetch_input, look_at_url
from airflow_provider_segmind.files.refused import page
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, SubmitBodySwapOperator
from airflow_provider_segmind.operators.quality import CheckSwapInputOperator
from airflow_provider_segmind.quality.thresholds import Thresholds
from airflow_provider_segmind.tasks.check import CheckRun
from tests.provider.odd_host import KEY, PICTURE, OddHost, own_host, picture
from tests.provider.running import context

HTML = b"<!DOCTYPE html><title>Sign in</title>"
HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(64)
EXPIRED = "X-Amz-Date=20200101T000000Z&X-Amz-Expires=60&X-Amz-Signature=hunter2"
BYTES = {
    "/view": (HTML, "is a web page, not a picture: give the direct link"),
    "/bom": (b"\xef\xbb\xbf\n <html>", "is a web page"),
    "/app": (b"\n<script>login()</script>", "is a web page"),
    "/a.heic": (HEIC, "but a HEIC picture"),
    "/a.avif": (b"\0\0\0\x1cftypavif" + bytes(64), "but an AVIF picture"),
    "/a.gif": (b"GIF89a" + bytes(64), "but a GIF picture"),
    "/a.tif": (b"II*\0" + bytes(64), "but a TIFF picture"),
    "/a.pdf": (b"%PDF-1.7" + bytes(64), "but a PDF"),
    "/a.svg": (b"<?xml version='1.0'?><svg></svg>", "but an SVG drawing"),
    "/a.zip": (b"PK\3\4" + bytes(64), "but a ZIP archive"),
    "/a.json": (b'{"error": "5ecret words"}', "but of no known type"),
}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddHost]:
    with own_host(monkeypatch) as running:
        running.pictures.update({path: data for path, (data, _) in BYTES.items()})
        yield running


def look(url: str) -> None:
    look_at_url(SegmindHook(), "character_image", url)


def refused(url: str) -> str:
    with pytest.raises(InvalidRequestError) as error:
        look(url)
    said = "".join(traceback.format_exception(error.value))
    assert "hunter2" not in said
    assert KEY not in said
    assert str(error.value).startswith("character_image 'http")
    assert "paid" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("path", BYTES)
def test_what_is_no_picture_for_segmind_is_named(host: OddHost, path: str) -> None:
    said = refused(f"{host.url}{path}?sig=hunter2")
    assert BYTES[path][1] in said
    assert "5ecret" not in said


@pytest.mark.parametrize(
    ("status", "query", "words"),
    [
        (404, "", "is not there"),
        (410, "", "is not there"),
        (403, EXPIRED, "the signature of the link expired at 2020-01-01 00:01:00"),
        (401, "se=2020-01-01T00%3A01%3A00Z&sig=hunter2", "expired at 2020-01-01 00:01:00"),
        (403, "Expires=1577836860&Signature=hunter2", "expired at 2020-01-01 00:01:00"),
        (400, "X-Goog-Date=20200101T000000Z&X-Goog-Expires=60&X-Goog-Signature=hunter2", "expired at 2020-01-01"),
        (403, "X-Amz-Signature=hunter2", "is wrong or has expired"),
        (403, "X-Amz-Date=20990101T000000Z&X-Amz-Expires=60&X-Amz-Signature=hunter2", "is wrong or has expired"),
        (403, "", "wants a login or refuses this worker.*never"),
        (401, "", "wants a login"),
        (400, "", "is answered with an error"),
        (418, "", "is answered with an error"),
        (416, "", "is an empty file"),
    ],
)
@pytest.mark.parametrize("kind", ["text/html", "application/xml"])
def test_what_cannot_be_read_is_named(host: OddHost, status: int, query: str, words: str, kind: str) -> None:
    host.answers["/a.jpg"] = status, b"<html>no", {"Content_Type": kind, "Content_Range": "bytes */0"}
    said = refused(f"{host.url}/a.jpg?{query}")
    assert all(part in said for part in words.split(".*"))
    assert f"HTTP {status}" in said or status == 416


def test_an_empty_file_is_named(host: OddHost) -> None:
    host.pictures["/empty"] = b""
    assert "is an empty file" in refused(f"{host.url}/empty")


@pytest.mark.parametrize("path", ["huge", "ranged"])
def test_what_is_too_large_is_found_by_what_its_host_says(host: OddHost, path: str) -> None:
    assert "is larger than 50 MiB" in refused(f"{host.url}/{path}")


def test_only_the_beginning_is_read(host: OddHost) -> None:
    look(f"{host.url}/endless")
    assert host.streamed < 32 * 2**20
    assert host.seen[0][1]["range"] == "bytes=0-2047"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("said", ["image/png", "text/html", "application/octet-stream"])
def test_a_picture_passes_whatever_its_host_calls_it(host: OddHost, kind: str, said: str) -> None:
    host.answers["/a"] = 200, picture(kind), {"Content_Type": said}
    look(f"{host.url}/a")
    host.answers["/a"] = 206, picture(kind)[:2048], {"Content_Range": "bytes 0-2047/9999"}
    look(f"{host.url}/a")


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        ("https://drive.google.com/file/d/1/view", "uc?export=download&id="),
        ("https://www.dropbox.com/s/1/a.jpg?dl=0", "dl=1"),
        ("https://shop-my.sharepoint.com/:i:/g/1", "download=1"),
        ("https://pages.example/1", "open the picture alone"),
    ],
)
def test_a_page_of_those_who_share_files_says_how_its_file_is_had(url: str, direct: str) -> None:
    assert direct in page(url)


def test_no_picture_host_gets_the_key(host: OddHost) -> None:
    hook = SegmindHook()
    look(f"{host.url}/good")
    assert picture_bytes(hook, "character_image", f"{host.url}/good") == PICTURE
    assert KEY not in str(host.seen)
    picture_bytes(hook, "results", f"{host.url}/good")
    assert KEY in str(host.seen[-1])


@pytest.mark.parametrize("status", [429, 500, 502, 503, 202, 405, 406, 407, 421, 451])
def test_a_host_that_fails_now_stops_no_order(host: OddHost, status: int, caplog: pytest.LogCaptureFixture) -> None:
    host.answers["/a.jpg"] = status, b"oops", {}
    with caplog.at_level(logging.WARNING):
        look(f"{host.url}/a.jpg?sig=hunter2")
    assert "It is ordered without a look at it." in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    "location", ["/pict \xe9.jpg", "https://[/x", "http://[::1", f"https://{'a' * 300}.example/a.jpg"]
)
def test_a_redirect_that_nobody_can_read_stops_no_order(
    host: OddHost, caplog: pytest.LogCaptureFixture, location: str
) -> None:
    host.answers["/a.jpg"] = 302, b"", {"Location": location}
    with caplog.at_level(logging.WARNING):
        look(f"{host.url}/a.jpg")
    assert "without a look" in caplog.text
    with pytest.raises(TransportError, match="could not be fetched"):
        fetch_input(SegmindHook(), "character_image", f"{host.url}/a.jpg", 9.0)


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress(PICTURE)), ("deflate", zlib.compress(PICTURE))],
    ids=["gzip", "deflate"],
)
def test_a_picture_that_its_host_keeps_compressed_is_read(host: OddHost, encoding: str, packed: bytes) -> None:
    host.answers["/a.png"] = 203, packed, {"Content_Encoding": encoding}
    look(f"{host.url}/a.png")
    assert picture_bytes(SegmindHook(), "character_image", f"{host.url}/a.png") == PICTURE


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_its_host_keeps_compressed_is_whole_and_bounded(host: OddHost, encoding: str) -> None:
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    for body, words in (
        (pack(hashlib.shake_256(b"noise").digest(9000))[:5000], "cut off or damaged"),
        (b"\x1f\x8bno", "cut off or damaged"),
        (pack(bytes(MAX_BYTES + 1)), "is larger than 50 MiB"),
    ):
        host.answers["/a.png"] = 200, body, {"Content_Encoding": encoding}
        tracemalloc.start()
        try:
            with pytest.raises(SegmindError, match=words):
                fetch_input(SegmindHook(), "character_image", f"{host.url}/a.png", 30.0)
            assert tracemalloc.get_traced_memory()[1] < 3 * MAX_BYTES
        finally:
            tracemalloc.stop()
    host.answers["/a.png"] = (
        200,
        gzip.compress(PICTURE[:99]) + gzip.compress(PICTURE[99:]),
        {"Content_Encoding": "gzip"},
    )
    assert fetch_input(SegmindHook(), "character_image", f"{host.url}/a.png", 30.0) == PICTURE


def test_a_challenge_of_a_firewall_stops_no_order(host: OddHost, caplog: pytest.LogCaptureFixture) -> None:
    host.answers["/a.jpg"] = 403, b"<html>Just a moment", {"Cf_Mitigated": "challenge"}
    with caplog.at_level(logging.WARNING):
        look(f"{host.url}/a.jpg")
    assert "without a look" in caplog.text


@pytest.mark.parametrize("path", ["cut", "loop-out", "416"])
def test_what_this_worker_cannot_see_stops_no_order(host: OddHost, path: str, caplog: pytest.LogCaptureFixture) -> None:
    host.answers["/416"] = 416, b"", {}
    host.answers["/loop-out"] = 302, b"", {"Location": "http://elsewhere.example/a.jpg"}
    host.answers["/cut"] = 200, b"", {"Transfer_Encoding": "chunked"}
    with caplog.at_level(logging.WARNING):
        look(f"{host.url}/{path}")
    assert "without a look" in caplog.text


def test_a_host_with_another_address_in_this_network_is_not_asked_and_stops_no_order(
    host: OddHost, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "photos.shop.example"
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.168.1.5", 9))]
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
        look(f"https://{name}:9/a.jpg")
    assert "without a look" in caplog.text
    host.answers["/in"] = 302, b"", {"Location": "https://169.254.169.254/latest/meta-data/"}
    assert "is not fetched" in refused(f"{host.url}/in"), "an address that Segmind can never read is refused"


@pytest.mark.parametrize(("number", "ordered"), [(socket.EAI_NONAME, False), (socket.EAI_AGAIN, True)])
@pytest.mark.parametrize("proxy", [False, True])
def test_a_host_that_does_not_exist_is_refused_unless_the_resolver_fails_or_a_proxy_asks(
    number: int, ordered: bool, proxy: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "of a resolver")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", f'{{"conn_type": "segmind", "password": "{KEY}"}}')
    for name in ("no_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if proxy:
        monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    url = f"https://cdn{-number}{proxy}.shopfy.example/a.jpg?sig=hunter2"
    if ordered or proxy:
        with caplog.at_level(logging.WARNING):
            look(url)
        assert "without a look" in caplog.text
    else:
        assert "shopfy.example: check it" in refused(url)
    for other in ("https://nas.local/a.jpg", "https://intranet/a.jpg"):
        assert "private network" in refused(other)


def test_a_host_that_is_down_is_asked_three_times_and_then_left_alone(
    host: OddHost, caplog: pytest.LogCaptureFixture
) -> None:
    url = host.url
    host.shutdown()
    host.server_close()
    with caplog.at_level(logging.WARNING):
        for number in range(9):
            look(f"{url}/{number}.jpg")
    assert caplog.text.count("It is ordered without a look at it.") == 3
    assert caplog.text.count("does not answer, and is not looked at for 60 s") == 1


def test_redirects_are_followed_to_the_picture_and_to_the_login(host: OddHost) -> None:
    for number in range(6):
        host.answers[f"/{number}"] = 302, b"", {"Location": f"/{number + 1}"}
    host.pictures["/6"] = PICTURE
    look(f"{host.url}/0")
    host.pictures["/6"] = HTML
    assert "is a web page" in refused(f"{host.url}/0")
    assert "more than 10 redirects" in refused(f"{host.url}/loop")


@pytest.mark.parametrize("option", ["never", "batches", "always"])
def test_an_administrator_says_which_orders_are_looked_at(
    host: OddHost, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__LOOK_AT_URLS", option)
    if option == "never":
        look(f"{host.url}/gone")
    else:
        assert "is not there" in refused(f"{host.url}/gone")
    assert bool(host.seen) is (option != "never")
    monkeypatch.setenv("AIRFLOW__SEGMIND__LOOK_AT_URLS", "sometimes")
    with pytest.raises(InvalidRequestError, match=r"\[segmind\] look_at_urls is 'sometimes'"):
        look(f"{host.url}/good")


def test_without_a_look_an_address_that_segmind_cannot_read_is_refused_all_the_same(
    host: OddHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__LOOK_AT_URLS", "never")
    assert "begins with http://" in refused("http://shop.example/a.jpg")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("gone", InvalidRequestError),
        ("endless", InvalidRequestError),
        ("loop", InvalidRequestError),
        ("cut", TransportError),
        ("broken", ServiceError),
        ("denied", InvalidRequestError),
        ("busy", RateLimitError),
    ],
)
def test_an_input_that_cannot_be_read_is_no_lost_result(
    host: OddHost, monkeypatch: pytest.MonkeyPatch, path: str, kind: type[SegmindError]
) -> None:
    monkeypatch.setattr("airflow_provider_segmind.files.download.Limits", lambda: Limits(pauses=()))
    host.answers["/denied"] = 403, HTML, {"Content_Type": "text/html"}
    host.answers["/busy"] = 429, b"", {"Retry_After": "3"}
    with pytest.raises(kind) as said:
        picture_bytes(SegmindHook(), "character_image", f"{host.url}/{path}?sig=hunter2")
    assert type(said.value) is kind
    assert not isinstance(said.value, JobExpiredError)
    for word in ("paid", "result", "Segmind deletes", "hunter2"):
        assert word not in str(said.value)
    assert "character_image" in str(said.value)


@pytest.mark.parametrize("path", [*BYTES, "/garbage", "/12-bytes", "/half"])
def test_the_verdict_of_a_url_is_that_of_the_same_bytes_in_storage(host: OddHost, tmp_path: Path, path: str) -> None:
    host.pictures["/12-bytes"] = b"\xff\xd8\xff\xe0" + bytes(8)
    host.pictures["/half"] = PICTURE[: len(PICTURE) // 2]
    host.pictures["/garbage"] = PICTURE[:48] + bytes(40) + PICTURE[88:]
    file = tmp_path / "a"
    file.write_bytes(host.pictures[path])
    reports = [
        CheckRun(CheckSwapInputOperator(task_id="look", character_image=uri, qa=False), {}).check(
            SegmindHook(), Thresholds()
        )
        for uri in (f"{host.url}{path}", str(file))
    ]
    assert [check.name for check in reports[0].failed] == ["readable"]
    assert reports[0].checks == reports[1].checks


def test_a_page_among_the_inputs_says_what_it_is_in_the_log(host: OddHost, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert picture_bytes(SegmindHook(), "character_image", f"{host.url}/view") == HTML
    assert "is a web page, not a picture" in caplog.text


def test_a_batch_is_refused_as_a_whole_with_the_line_of_each_url_before_anything_is_charged(
    emulator: Emulator, tmp_path: Path
) -> None:
    person = emulator.sample("person")
    swaps = [
        {"character_image": url, "reference_character_image": person}
        for url in (emulator.sample("scene"), f"{emulator.url}/none.png", f"{emulator.url}/control")
    ]
    task = BodySwapBatchOperator(task_id="t", swaps=swaps, results_uri=str(tmp_path / "r.jsonl"))
    with pytest.raises(AirflowFailException, match=r"(?s)item 1: character_image.*item 2: character_image"):
        task.execute(context())
    assert not emulator.charges
    assert not [request for request in emulator.requests if request.method == "POST"]


def test_a_single_order_is_looked_at_where_the_administrator_wants_it(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = {"character_image": f"{emulator.url}/none.png", "reference_character_image": emulator.sample("person")}
    monkeypatch.setenv("AIRFLOW__SEGMIND__LOOK_AT_URLS", "always")
    with pytest.raises(AirflowFailException, match=r"character_image .* with an error"):
        SubmitBodySwapOperator(task_id="t", **pair).execute(context())
    assert not emulator.charges
    monkeypatch.setenv("AIRFLOW__SEGMIND__LOOK_AT_URLS", "batches")
    SubmitBodySwapOperator(task_id="t", **pair).execute(context())
    assert len(emulator.charges) == 1


def test_a_thousand_urls_are_looked_at_in_one_pass_over_few_connections(host: OddHost) -> None:
    from airflow_provider_segmind.api.manifest import Problems, read_items
    from airflow_provider_segmind.batch.plan import LOOKERS, _check_pictures

    open_now, most, lock = 0, 0, threading.Lock()
    serve = host.process_request_thread

    def counted(*given: Any) -> None:
        nonlocal open_now, most
        with lock:
            open_now += 1
            most = max(most, open_now)
        try:
            serve(*given)
        finally:
            with lock:
                open_now -= 1

    host.process_request_thread = counted  # type: ignore[method-assign]
    host.pictures.update({f"/{number}.png": PICTURE for number in range(1000)})
    swaps = read_items(
        [
            {
                "character_image": f"{host.url}/{2 * number}.png",
                "reference_character_image": f"{host.url}/{2 * number + 1}.png",
            }
            for number in range(500)
        ],
        select_character="woman",
    )
    _check_pictures(swaps, SegmindHook(), Problems("swaps"), "auto")
    assert (len(host.paths()), len(set(host.paths()))) == (1000, 1000)
    assert most <= LOOKERS + 4, "a connection ends a little later at its host"
    assert KEY not in str(host.seen)


def test_a_host_that_never_answers_holds_a_look_for_a_bounded_time(
    host: OddHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("airflow_provider_segmind.files.fetching._LONGEST_LOOK", 0.3)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        look(f"{host.url}/drip-header")
    assert "not there whole within 0.3 s" in caplog.text
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("size", [12, 60, 500])
def test_a_small_file_that_is_a_part_of_a_picture_is_refused(host: OddHost, size: int) -> None:
    host.pictures["/whole.jpg"] = whole = picture("JPEG", size=(32, 32))
    host.pictures["/part.jpg"] = whole[:size]
    look(f"{host.url}/whole.jpg")
    assert "begins like a picture, but it ends" in refused(f"{host.url}/part.jpg")
