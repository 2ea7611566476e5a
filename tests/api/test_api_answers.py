"""Nothing that an answer says can be too much: for a database, a log line, the event loop or the key."""

from __future__ import annotations

import gzip
import json
import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_segmind.api import answers, protocol
from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    OutcomeUnknownError,
    SegmindError,
    ServiceError,
)
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.results import result_of
from airflow_provider_segmind.api.wire import Response
from tests.api.drive import KEY, POLL_URL, WORKFLOW, answer, settings

REQUEST_ID = POLL_URL[-32:]
BAD = "a\x00b\ud800c\x1b[31md\r\nERROR forged\u202ee"
PICTURE = "https://images.segmind.com/x.png"


def poll(body: Any, status: int = 200) -> Job:
    return protocol.read_poll(settings(), answer(body, status), POLL_URL)


def completed(keyname: Any = "a", data: Any = PICTURE, kind: Any = "image") -> dict[str, Any]:
    output = [{"keyname": keyname, "value": {"data": data, "type": kind}}]
    return {"status": "COMPLETED", "output": json.dumps(output)}


def is_one_line(text: str) -> bool:
    return all(unicodedata.category(sign) not in ("Cc", "Cs", "Cf", "Zl", "Zp") for sign in text)


def steps_of(work: Callable[[], object]) -> int:
    """Return how many lines and calls of Python some work takes: a measure that no load on the machine changes."""
    count = 0

    def trace(*_: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


# -- characters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"status": "FAILED", "error": BAD},
        {"status": "FAILED", "error_message": {BAD: BAD}},
        {"status": "FAILED", "error": [{"model": BAD, "error": BAD}], "request_id": BAD},
        {"status": f"PAUSED{BAD}"},
        completed(keyname=BAD),
        completed(data=f"https://images.segmind.com/{BAD}.png"),
        completed(kind=f"image{BAD}"),
        {**completed(), "request_id": BAD},
    ],
)
def test_no_text_of_an_answer_can_forge_a_log_line_or_be_refused_by_a_database(body: dict[str, Any]) -> None:
    job = poll(body)
    for text in (job.request_id, job.status, job.error, *(o.keyname + o.type + o.url for o in job.outputs)):
        assert is_one_line(text), text


def test_the_words_of_an_error_are_one_clean_line() -> None:
    for body in ({"error": BAD}, {"message": BAD}, BAD.encode("utf-8", "replace"), {"status": BAD}):
        with pytest.raises(SegmindError) as error:
            poll(body, 502)
        assert is_one_line(str(error.value))


def test_a_text_that_a_job_made_keeps_its_lines_and_loses_only_what_no_database_holds() -> None:
    job = poll(completed(data="one\ntwo\tthree\x00\ud800four", kind="text"))
    assert job.outputs[0].url == "one\ntwo\tthree\ufffd\ufffdfour"


@given(st.text(max_size=600), st.integers(2, 50))
def test_a_line_is_within_its_limit_and_clean(text: str, limit: int) -> None:
    shown = answers.line(text, limit)
    assert len(shown) <= limit
    assert is_one_line(shown.replace("\xad", "")) or any(unicodedata.category(sign) == "Cf" for sign in text)
    assert answers.line(shown, limit) == shown


def test_a_body_that_is_compressed_without_saying_so_is_read_as_what_it_is() -> None:
    """A proxy did this for a 502 and a 200, and the binary text ended the triggerer."""
    assert poll(gzip.compress(json.dumps({"status": "PROCESSING"}).encode())).status == "PROCESSING"
    with pytest.raises(ServiceError, match="Segmind said: Bad gateway"):
        poll(gzip.compress(b"<h1>Bad gateway</h1>"), 502)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"\x1f\x8b" + b"\xff" * 20, r"\(a body that cannot be read: it is compressed and damaged\)"),
        (
            gzip.compress(bytes(8 * 1024 * 1024), mtime=0),
            r"\(a body that cannot be read: it is too large when unpacked\)",
        ),
        (bytes(range(256)) * 8, r"\(binary data, 2048 bytes\)"),
    ],
)
def test_what_is_no_text_is_not_quoted(body: bytes, said: str) -> None:
    with pytest.raises(ServiceError, match=said):
        poll(body, 200)


# -- size and work -------------------------------------------------------------------------------------


def test_names_and_words_are_short_whatever_comes() -> None:
    long = "x" * 1_000_000
    assert len(poll({"status": long, "request_id": long}).status) == answers.MAX_NAME
    assert len(poll({"status": "FAILED", "error": long}).error) == answers.MAX_WORDS
    output = poll(completed(keyname=long, kind=long)).outputs[0]
    assert (len(output.keyname), len(output.type)) == (answers.MAX_NAME, answers.MAX_NAME)


@pytest.mark.parametrize(
    "poll_url", ["", "x" * 3_000_000, "https://api.segmind.com/" + "x" * 3_000_000, f"{POLL_URL}\x00", 7]
)
def test_an_order_with_a_poll_url_that_is_none_is_of_unknown_outcome(poll_url: object) -> None:
    with pytest.raises(OutcomeUnknownError, match="no readable poll_url") as error:
        protocol.read_submit(settings(), answer({"poll_url": poll_url, "request_id": "abc"}), WORKFLOW)
    assert error.value.request_id == "abc"
    assert len(str(error.value)) < 2000


def test_a_poll_url_of_an_xcom_is_quoted_in_part_only() -> None:
    for poll_url in ("x" * 3_000_000, "https://elsewhere.example/" + "x" * 3_000_000, ["x" * 3_000_000]):
        with pytest.raises(SegmindError) as error:
            protocol.check_poll_url(settings(), poll_url)
        assert len(str(error.value)) < 1000


@pytest.mark.parametrize("deep", [answers.MAX_DEPTH + 1, 900, 5000, 20_000])
@pytest.mark.parametrize("opening", ["[", '{"error":'])
def test_an_answer_that_is_nested_too_deeply_is_no_answer(deep: int, opening: str) -> None:
    nested = opening * deep + "1" + {"[": "]", "{": "}"}[opening[0]] * deep
    with pytest.raises(ServiceError):
        poll(f'{{"status": "FAILED", "error": {nested}}}'.encode())
    with pytest.raises(ServiceError, match="no JSON" if deep < 1000 else "no JSON|says nothing about the job"):
        poll({"status": "COMPLETED", "output": nested})


@pytest.mark.parametrize(
    "body_of",
    [
        lambda n: {"status": "FAILED", "error": [f"error {i}" for i in range(n)]},
        lambda n: {"status": "FAILED", "error": [{"model": f"m{i}", "error": f"e{i}"} for i in range(n)]},
        lambda n: {"status": "FAILED", "error_message": {f"k{i}": [i] for i in range(n)}},
        lambda n: {"status": "FAILED", "error": "x\n" * n},
        lambda n: b"<" * n + b"script " * n,
        lambda n: b"<script" * n + b">",
    ],
)
def test_the_work_on_an_answer_grows_no_faster_than_its_size(body_of: Callable[[int], Any]) -> None:
    """20,000 different errors held the event loop of all teams for 6 s."""

    def read(response: Response) -> None:
        with suppress(SegmindError):
            protocol.read_poll(settings(), response, POLL_URL)

    few, many = (steps_of(partial(read, answer(body_of(n)))) for n in (200, 4000))
    assert many < 25 * few


def test_more_parts_than_any_answer_has_are_not_read() -> None:
    with pytest.raises(ServiceError):
        poll(b'{"status": "PROCESSING", "more": [' + b"0," * answers.MAX_PARTS + b"0]}")


def test_an_answer_with_more_than_a_thousand_outputs_is_read_and_told_in_part() -> None:
    outputs = [{"keyname": f"o{i}", "value": {"data": f"text {i}", "type": "text"}} for i in range(1500)]
    job = poll({"status": "COMPLETED", "output": json.dumps(outputs)})
    assert len(job.outputs) == 1500
    with pytest.raises(ServiceError, match=r"o0 \(text\): text 0.* and 1490 more") as error:
        result_of(job, needs_image=True)
    assert len(str(error.value)) < 6000


# -- the key -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, "SG/a+b=c d"[:-2] + "%41x"])
def test_a_key_that_the_service_echoes_is_nowhere(key: str) -> None:
    own = protocol.Settings("https://api.segmind.com", key)
    escaped = json.dumps(key).replace("S", "\\u0053", 1).replace("/", "\\/")
    bodies = [
        {**completed(data=f"{PICTURE}?key={key}", keyname=key), "request_id": key},
        {"status": "FAILED", "error": {"model": key, "error": f"bad key {key}"}},
        {"status": "FAILED", "error": [{key: key}]},
        f'{{"status": "FAILED", "error": {escaped}, "request_id": {escaped}}}'.encode(),
        f'{{"status": {escaped}}}'.encode(),
        f"<p>{key}</p>".encode(),
    ]
    for body in bodies:
        try:
            seen = repr(protocol.read_poll(own, answer(body), POLL_URL))
        except SegmindError as error:
            seen = str(error)
        assert "***" in seen
        assert key not in seen
        assert key.upper() not in seen


def test_a_short_key_does_not_spoil_urls_by_chance() -> None:
    own = protocol.Settings("https://api.segmind.com", "img")
    job = protocol.read_poll(own, answer(completed(data="https://x/img.png")), POLL_URL)
    assert job.outputs[0].url == "https://x/img.png"


def test_a_small_plain_answer_is_not_walked_through() -> None:
    """Thousands of polls a minute are of this kind."""
    body = json.dumps({"output": "", "status": "PROCESSING"}).encode()
    steps = [steps_of(partial(answers.read_json, text, KEY)) for text in (body, body.replace(b"PRO", b"\\u0050RO"))]
    assert steps[0] < steps[1]


def test_a_byte_order_mark_does_no_harm() -> None:
    assert poll(b"\xef\xbb\xbf" + json.dumps({"status": "QUEUED"}).encode()).status == "QUEUED"
    assert answers.is_page(Response(403, {}, b"\xef\xbb\xbf <!doctype html>"))
    assert answers.is_page(Response(403, {"content-type": "text/html; charset=utf-8"}, b""))
    assert not answers.is_page(Response(403, {}, b"no <b>"))


def test_a_page_that_refuses_an_order_is_not_told_to_be_a_wrong_key() -> None:
    page = answer(b"<html>Blocked</html>", 403)
    with pytest.raises(OutcomeUnknownError, match=r"something between here and there.* Segmind said: Blocked"):
        protocol.read_submit(settings(), page, WORKFLOW)
    with pytest.raises(AuthenticationError, match="a firewall or a proxy refused it"):
        protocol.read_upload(settings(), page)


def test_what_is_quoted_of_a_deep_reason_ends_somewhere() -> None:
    reason: Any = {"code": 7}
    for _ in range(10):
        reason = {"why": reason}
    assert poll({"status": "FAILED", "error": reason}).error.endswith('"…"}}}}}}')


def test_a_number_is_a_name_as_well() -> None:
    assert answers.name(12) == "12"
    assert answers.name(True) == ""


@pytest.mark.parametrize("kind", ["image", "IMAGE/png", ""])
def test_a_picture_is_one_line_whatever_stands_there(kind: str) -> None:
    for data in ("just text\r\nFORGED.png", "HTTPS://x/a.png\nFORGED", f"{' ' * 100}https://x/a.png\nFORGED"):
        assert is_one_line(poll(completed(data=data, kind=kind)).outputs[0].url)


def test_a_number_of_thousands_of_digits_is_read_at_once() -> None:
    body = b'{"status": "QUEUED", "n": [' + b",".join([b"9" * 4299] * 900) + b"]}"
    assert poll(body).status == "QUEUED"


@pytest.mark.parametrize("cut", range(1, len(KEY) + 1))
def test_a_key_that_a_cut_goes_through_is_hidden(cut: int) -> None:
    body = (b"x" * (4096 - cut)) + KEY.encode() + b"</html>"
    assert KEY[:8] not in answers.beginning(body, 4096, KEY)
    assert KEY[:8] not in answers.words_of(Response(502, {}, b"<br>" * 1000 + body[4000:], 1.0), KEY)


@pytest.mark.parametrize(
    "before", ["é" * 2000, KEY * 100], ids=["characters are not bytes", "what is hidden is shorter"]
)
def test_wherever_a_body_is_cut_no_part_of_a_key_is_left(before: str) -> None:
    body = before.encode() + KEY.encode() * 10
    for size in range(len(before.encode()) - 7 * len(KEY), len(before.encode())):
        assert KEY[:4] not in answers.beginning(body, size, KEY)
