"""The emulator on a cassette: its timings and limits are the service's, and no cassette can harm who uses it."""

from __future__ import annotations

import email.utils
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_segmind.api.clocks import clock_offset
from airflow_provider_segmind.api.refusals import moment_of
from airflow_provider_segmind.api.wire import Response
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.api.clock import Clock
from tests.doctor.conftest import differs, run
from tests.doctor.seeds import end, entries, only, pending

WORKFLOW = "/workflows/678b67a76426baad7e539337-v4"


@contextmanager
def like(said: dict[str, Any], tmp_path: Path, **settings: Any) -> Iterator[Emulator]:
    """Run an emulator like a cassette."""
    path = tmp_path / "like.json"
    path.write_text(json.dumps(said))
    with Emulator(like=path, **settings) as emulator:
        yield emulator


def ask(emulator: Emulator, path: str, **more: Any) -> requests.Response:
    """Send one request with the key."""
    method, headers = ("POST" if "json" in more else "GET"), {"x-api-key": emulator.api_key}
    return requests.request(method, emulator.url + path, headers=headers, timeout=5, **more)


def ordered(emulator: Emulator) -> str:
    """Order, and return the path of the job."""
    return "/workflows/request/" + str(ask(emulator, WORKFLOW, json={}).json()["request_id"])


def damage(**values: Any) -> Any:
    """Return what changes the answer to a wrong key."""
    return lambda said: only(said, "wrong-key").update(values)


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["entries"].append(3),
        lambda said: said["entries"].append({}),
        lambda said: said.update(entries={}),
        damage(status="200"),
        damage(status=99999),
        damage(status=101),
        damage(headers=[]),
        damage(headers={"x-ratelimit-limit": "1\r\nSet-Cookie: a=b"}),
        damage(headers={"x-ratelimit-limit": 5}),
        damage(body={"<text>": None}),
        damage(at="x"),
        damage(at=float("nan")),
        damage(took=None),
        damage(facts=[1]),
        damage(facts={"spent": "x"}),
        damage(facts={"skew": 1e300}),
        damage(last=3),
        damage(body=json.loads("[" * 500 + "]" * 500)),
    ],
)
def test_a_cassette_that_is_damaged_is_refused_with_an_instruction(change, cassette, tmp_path):
    change(cassette)
    with pytest.raises(ValueError, match="record it anew"), like(cassette, tmp_path):
        pass


def test_a_text_that_is_nested_without_end_is_no_cassette(tmp_path):
    path = tmp_path / "cassette.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="record it anew"):
        Emulator(like=path)


def test_a_page_in_a_cassette_reaches_no_browser(cassette, tmp_path):
    only(cassette, "wrong-key")["body"] = {"<page>": "<script>alert(1)</script>"}
    with like(cassette, tmp_path) as emulator:
        answer = requests.get(f"{emulator.url}/v1/get-user-credits", timeout=5)
    assert answer.status_code == 401
    assert "script" not in answer.text


def test_a_sentence_with_many_gaps_does_not_hold_the_emulator_up(cassette, tmp_path):
    only(cassette, "unknown-job")["body"] = {"error": "…e" * 40 + "…Z"}
    with like(cassette, tmp_path) as emulator:
        assert ask(emulator, f"/workflows/request/{'e' * 60}").status_code == 404


@pytest.mark.parametrize("host", [5, "http://[::1", "https://api.segmind.com"])
def test_an_odd_url_in_a_cassette_leads_to_this_machine(host, cassette, tmp_path):
    cassette["host"] = host
    only(cassette, "order")["body"]["poll_url"] = "http://[::1"
    with like(cassette, tmp_path) as emulator:
        url = ask(emulator, WORKFLOW, json={}).json()["poll_url"]
        assert url.startswith(("http://localhost:", emulator.url))


def test_answers_take_as_long_as_those_of_the_service(cassette, tmp_path):
    for one in entries(cassette, "bearer", "x-api-key"):
        one["took"] = 0.2
    with like(cassette, tmp_path) as emulator:
        assert ask(emulator, "/v1/get-user-credits").elapsed.total_seconds() >= 0.2


def test_a_slow_answer_to_an_order_does_not_make_its_job_unknown(cassette, tmp_path, clock):
    for one in (*pending(cassette), end(cassette)):
        one["at"] += 8
    with like(cassette, tmp_path, clock=clock) as emulator:
        assert ask(emulator, ordered(emulator)).status_code == 200


def test_the_service_s_clock_is_as_wrong_as_it_was(cassette, tmp_path, clock):
    for one in cassette["entries"]:
        one["facts"] = {**one.get("facts", {}), "skew": 600}
    with like(cassette, tmp_path, clock=clock) as emulator:
        ordered(emulator)
        answer = ask(emulator, "/inference-request/request-history")
        at = clock()
    said = Response(200, {"date": answer.headers["Date"]}, at=at)
    assert clock_offset(said, None) == pytest.approx(600, abs=3)
    assert at - (moment_of(answer.json()["data"][0]["model_created"]) or 0) == pytest.approx(600, abs=3)


def test_a_wrong_clock_of_the_service_is_named_on_its_imitation_too(cassette, tmp_path, clock):
    for one in cassette["entries"]:
        one["facts"] = {**one.get("facts", {}), "skew": 600}
    with like(cassette, tmp_path, clock=clock) as emulator:
        found = differs(run(emulator, tmp_path / "out", clock, order=False))
    assert found.keys() == {"clock"}


@pytest.mark.parametrize(
    ("seen", "read"),
    [
        ("41", lambda text, _: float(text)),
        ("1796029200", lambda text, now: float(text) - now),
        ("1796029200000", lambda text, now: float(text) / 1000 - now),
        ("2026-11-30T09:00:00Z", lambda text, now: (moment_of(text) or 0) - now),
    ],
)
def test_a_limit_is_counted_down_and_begins_anew_after_its_minute(seen, read, cassette, tmp_path):
    clock = Clock()
    for one, left in zip(entries(cassette, "x-api-key", "upload", "order"), ("58", "55", "50"), strict=False):
        one["headers"] |= {"x-ratelimit-limit": "60", "x-ratelimit-remaining": left, "x-ratelimit-reset": seen}
    with like(cassette, tmp_path, clock=clock) as emulator:
        told = [ask(emulator, "/v1/get-user-credits").headers for _ in range(3)]
        assert [one["x-ratelimit-remaining"] for one in told] == ["57", "56", "55"]
        assert told[0]["x-ratelimit-limit"] == "60"
        assert read(told[2]["x-ratelimit-reset"], clock()) == pytest.approx(60, abs=3)
        clock.sleep(61)
        assert ask(emulator, "/v1/get-user-credits").headers["x-ratelimit-remaining"] == "57"


def test_an_outage_in_a_cassette_is_not_imitated(tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        everywhere = ("submit", "poll", "credits", "upload", "history")
        emulator.script(*(Fault("html", on=on, status=503, times=None) for on in everywhere))
        run(emulator, tmp_path / "out", clock)
    with like(json.loads((tmp_path / "out" / "cassette.json").read_text()), tmp_path, clock=clock) as emulator:
        assert ask(emulator, "/workflows/request/4f74").status_code == 404
        assert email.utils.parsedate_to_datetime(ask(emulator, "/v1/get-user-credits").headers["Date"])
