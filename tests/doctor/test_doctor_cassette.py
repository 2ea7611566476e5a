"""A cassette and a report can be attached to a public bug report."""

from __future__ import annotations

import base64
import json
import re
import stat
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.wire import Response
from airflow_provider_segmind.doctor.cassette import MOST, Cassette
from airflow_provider_segmind.doctor.reading_order import READERS
from airflow_provider_segmind.doctor.redaction import Redactor
from airflow_provider_segmind.doctor.report import beliefs, judge
from airflow_provider_segmind.emulator import Emulator, Fault, samples
from tests.doctor.conftest import run, settings_of

KEY = "SG_a-key-of-nobody-9876"
PLANTED = (
    "hunter2secret", "eyJhbGciOiJIUzI1NiJ9", "Anna-Schmidt", "anna@example.com", "AK" "IA0123456789ABCDEF", "s3cr3t",
    "4929123412341234", "correcthorsebattery", "b64iVBORw0KGgo",
)  # fmt: skip
"""Secrets of each kind that an answer may have."""


def shared(out: Path) -> str:
    """Return all that a person may attach."""
    return (out / "cassette.json").read_text() + (out / "report.md").read_text()


def planted(secret: str) -> dict[str, object]:
    """Return a body that has a secret wherever one could be."""
    number = int(secret) if secret.isdigit() else 1
    return {
        "status": secret,
        "token": secret,
        "error": f"The key {secret} is wrong for user {secret}, see https://x.example/a?token={secret}#{secret}",
        "message": f"password: {secret}",
        "url": f"https://user:{secret}@{secret}.example.com/{secret}/{secret}.png?X-Amz-Signature={secret}&{secret}",
        "poll_url": f"https://{secret}.segmind.com/{quote(secret)}?a=1&{secret}",
        "reason": f"secret {base64.b64encode(secret.encode()).decode()} {quote(quote(secret, safe=''), safe='')}",
        "account": {"id": number, secret: {"deep": [secret, {"type": secret, "keyname": secret}]}},
        "nested": json.dumps({"output": [{"value": secret}], secret: 1}),
        "data": f"data:image/png;base64,{secret}",
        "credits": number,
    }


@pytest.mark.parametrize("secret", [*PLANTED, KEY])
def test_no_secret_in_any_place_of_an_answer_is_kept(secret, tmp_path, clock):
    with Emulator(clock=clock, api_key=KEY) as emulator:
        value = {"data": f"{emulator.url}/outputs/{secret}.png?sig={secret}", "type": "image"}
        output = json.dumps([{"keyname": "swap", "value": value}, {"keyname": secret, "value": {"data": secret}}])
        rows = [{**planted(secret), "request_id": secret, "request_body": {secret: secret}}]
        emulator.script(
            Fault("raw", on="credits", body={**planted(secret), "credits": 5.0}, times=None),
            Fault("raw", on="history", body={"data": rows, secret: secret}, times=None),
            Fault("raw", on="poll", body={**planted(secret), "status": "PROCESSING"}, times=4),
            Fault("raw", on="poll", body={"status": "COMPLETED", "output": output}, times=None),
        )
        run(emulator, tmp_path, clock)
    said = shared(tmp_path)
    assert "COMPLETED" in said
    assert secret.lower() not in said.lower()


@pytest.mark.parametrize("secret", [*PLANTED, KEY])
def test_no_secret_in_the_answer_to_an_order_or_in_its_row_of_the_history_is_kept(secret):
    redactor = Redactor(KEY, {"4f74": "<request>", "https://x.example/scene.jpg#order=1": "<scene>"})
    inputs = {"character_image": "https://x.example/scene.jpg#order=1", secret: secret}
    row = {**planted(secret), "request_id": "4f74", "request_body": inputs}
    for value in (
        row,
        [row],
        {"data": [row]},
        {secret: [{**row, "request_body": json.dumps(inputs)}, row, {secret: 1}]},
    ):
        answer = Response(200, {}, json.dumps(value).encode())
        kept = json.dumps([redactor.body(answer, "4f74", rows) for rows in (True, False)])
        assert secret.lower() not in kept.lower()
        assert "<scene>" in kept


@pytest.mark.parametrize("secret", [*PLANTED, KEY])
@pytest.mark.parametrize("kind", ["html", "raw", "redirect"])
def test_no_secret_in_a_page_a_text_or_a_redirect_is_kept(secret, kind, tmp_path, clock):
    body = {"redirect": f"https://{secret}.example.com/{secret}?token={secret}"}.get(kind, f"Hello {secret} {secret}!")
    with Emulator(clock=clock, api_key=KEY) as emulator:
        emulator.script(*(Fault(kind, on=on, body=body, times=None) for on in ("credits", "upload", "history", "poll")))
        run(emulator, tmp_path, clock)
    assert secret.lower() not in shared(tmp_path).lower()


@pytest.mark.parametrize("secret", PLANTED)
@pytest.mark.parametrize(
    "name", ["set-cookie", "location", "content-type", "x-ratelimit-user", "retry-after", "date", "server", "x-{}"]
)
def test_no_secret_in_a_header_is_kept(secret, name):
    kept = Redactor(KEY, {}).headers({name.format(secret): f"https://x.example/{secret}?a={secret}"})
    assert secret not in json.dumps(kept)
    assert secret not in json.dumps(Redactor(KEY, {}).headers({name.format(secret): secret}))


def test_a_whole_run_keeps_no_key_no_picture_and_no_other_request_of_the_account(tmp_path, clock):
    with Emulator(clock=clock, api_key=KEY, job_seconds=60) as emulator:
        others = [
            requests.post(
                f"{emulator.url}/workflows/another-v1",
                json={"prompt": "a picture of somebody", "image": f"https://private.example.com/{number}.png"},
                headers={"x-api-key": KEY},
                timeout=5,
            ).json()["request_id"]
            for number in range(3)
        ]
        run(emulator, tmp_path, clock)
        own = next(charge.request_id for charge in emulator.charges if charge.request_id not in others)
        names = [job.picture for job in emulator.jobs.values()]
    said = shared(tmp_path)
    pictures = [samples.draw("scene", 0, "JPEG"), samples.draw("person", 1, "JPEG")]
    parts = [base64.b64encode(data).decode()[start : start + 24] for data in pictures for start in (0, 4000, 9000)]
    for secret in (KEY, *others, own, *names, *parts, "somebody", "private.example.com", "another-v1"):
        assert secret not in said
    assert len((tmp_path / "cassette.json").read_bytes()) < 32 * 1024
    assert own in (tmp_path / "order.json").read_text()


def test_only_its_owner_can_read_what_a_run_writes(tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        run(emulator, tmp_path, clock)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_what_is_harmless_is_kept():
    redactor = Redactor(KEY, {"4f7471d8ac431cffe0468dc487b5d354": "<request>"})
    body = {
        "status": "QUEUED",
        "error": "Insufficient credits. Please add credits to your account.",
        "detail": "Request 4f7471d8ac431cffe0468dc487b5d354 not found",
        "at": "2026-11-30T05:00:00Z",
        "poll_url": "https://api.segmind.com/workflows/request/4f7471d8ac431cffe0468dc487b5d354",
    }
    kept = redactor.body(Response(200, {}, json.dumps(body).encode()))
    assert kept == {
        **body,
        "detail": "Request <request> not found",
        "poll_url": "https://api.segmind.com/workflows/request/<request>",
    }
    headers = {"x-ratelimit-limit": "60, 60;w=60", "retry-after": "7", "content-type": "text/html; charset=utf-8"}
    assert redactor.headers(headers) == headers


def test_a_cassette_that_is_too_odd_to_be_read_still_gives_a_report():
    odd = [{"step": belief.shown_by[0], "url": 1, "status": "x", "headers": [], "body": 3} for belief in beliefs()]
    findings = judge(Cassette("https://api.segmind.com", odd), {})
    assert len(findings) == len(beliefs())


def test_each_belief_can_be_read_and_has_what_follows():
    assert READERS.keys() == {belief.name for belief in beliefs()}
    for belief in beliefs():
        assert belief.sure in ("documented", "reported", "inferred", "assumed")
        assert belief.otherwise
        assert re.fullmatch(r"[A-Z`].*\.", belief.says)


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("You have 12 credits left of 250.", "You have … credits left of …"),
        ("Call 030 123 456 78 or 492 912 341 234 123.", "Call … or …"),
        ("HTTP 502 Bad Gateway", "HTTP 502 Bad Gateway"),
        ("502 Bad Gateway", "502 Bad Gateway"),
        ("The key is not valid for hunter", "The key is not … for …"),
        ("token correct horse battery staple glue", "token …"),
    ],
)
def test_of_a_sentence_neither_numbers_nor_what_follows_a_secret_word_are_kept(words, kept):
    assert Redactor(KEY, {}).sentence(words) == kept


def test_of_a_url_no_value_without_a_name_and_no_customer_s_host_are_kept():
    redactor = Redactor(KEY, {}, ["segmind.anna-1.example.com"])
    assert (
        redactor.url("https://anna-schmidt.segmind.com/x?a=1&hunter") == "https://<label>.segmind.com/<1>?a=…&<value>=…"
    )
    assert redactor.url("https://images.segmind.com/x") == "https://images.segmind.com/<1>"
    assert redactor.url("https://segmind.anna-1.example.com/") == "https://segmind.anna-1.example.com/"
    assert redactor.url("http://[::1]:80/") == "http://[::1]:80/"
    assert redactor.url("/workflows/abc") == "/workflows/<3>"
    assert redactor.url("hunter2secret:x") == "<1>"
    assert redactor.url("hunter2secret://x.example.com/") == "//x.example.com/"


@pytest.mark.parametrize("shape", [lambda row: [row], lambda row: {"data": [row]}, lambda row: {"a": {"rows": [row]}}])
def test_of_another_request_no_word_is_kept_wherever_the_history_lists_it(shape):
    row = {"request_id": "4f75", "error": "no person found", "status": "FAILED", "created_at": "2026-11-30T09:00:00Z"}
    kept = json.dumps(Redactor(KEY, {}).body(Response(200, {}, json.dumps(shape(row)).encode()), "4f74", rows=True))
    assert "created_at" in kept
    assert [word for word in ("person", "FAILED", "2026") if word in kept] == []


def test_a_number_in_a_header_that_names_a_user_is_not_kept():
    fields = {
        "x-ratelimit-user-id": "4929123412",
        "x-ratelimit-remaining-minute": "5",
        "x-rate-limit-reset-at-utc": "9",
    }
    assert Redactor(KEY, {}).headers(fields) == {**fields, "x-ratelimit-user-id": "<text>"}


def test_the_path_of_a_connection_is_not_shown(tmp_path, clock):
    with Emulator(clock=clock, api_key=KEY) as emulator:
        url = f"{emulator.url}/hunter2secret"
        settings = Settings.from_connection(host=url, password=KEY, extra={"storage_url": emulator.url})
        for _ in range(2):
            run(settings, tmp_path, clock)
    assert "hunter2secret" not in shared(tmp_path)


def test_an_answer_with_thousands_of_values_does_not_make_a_cassette_large(tmp_path, clock):
    names = [f"{first}{second}" for first in "abcdef" for second in "abcdef"]
    body = {"status": "PROCESSING", "output": {name: dict.fromkeys(names, ["x"] * 3) for name in names}}
    with Emulator(clock=clock) as emulator:
        bodies = [{**body, "note": "x" * number} for number in range(12)]
        emulator.script(*(Fault("raw", on="poll", body=one, after=not number) for number, one in enumerate(bodies)))
        run(emulator, tmp_path, clock)
    assert (tmp_path / "cassette.json").stat().st_size < 32 * 1024
    assert '"status": "PROCESSING"' in (tmp_path / "cassette.json").read_text()


def test_the_settings_of_a_connection_are_not_shown(tmp_path, clock):
    with Emulator(clock=clock, api_key=KEY) as emulator:
        secret = "http://user:proxysecret@127.0.0.1:1"
        run(settings_of(emulator, proxies={"https": secret}), tmp_path, clock, order=False)
    assert "proxysecret" not in shared(tmp_path)


def test_a_service_that_says_something_else_each_time_does_not_make_a_cassette_long():
    said = Cassette("https://api.segmind.com")
    common = {"step": "poll", "url": "", "failure": "", "headers": {}, "at": 0.0}
    for number in range(3 * MOST):
        said.add({**common, "status": 200, "body": {"status": "PROCESSING", "note": f"<text, {number} characters>"}})
    said.add({**common, "status": 200, "body": {"status": "COMPLETED"}})
    assert len(said.entries) == MOST
    assert said.entries[-1]["body"] == {"status": "COMPLETED"}
