"""What the doctor concludes of answers that are nearly right, and what it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_segmind.doctor.cassette import Cassette
from airflow_provider_segmind.doctor.report import judge
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.doctor.conftest import differs, run, seen
from tests.doctor.seeds import only


@pytest.mark.parametrize("kind", ["429", "502-html", "drop-before"])
def test_one_bad_answer_to_bearer_does_not_mean_that_only_the_other_form_is_taken(kind, tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        emulator.script(Fault(kind, on="credits"))
        report = run(emulator, tmp_path, clock, order=False)
    assert "auth" not in seen(report)
    assert differs(report).keys() <= {"reach"}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"free-credits": 0.0, "credits": 5.0}, {}),
        ({"credits": 5.0}, {"credits": "credits"}),
        ({"balance": 5.0}, {"credits": "balance"}),
    ],
)
def test_a_balance_is_judged_as_tasks_read_it_in_whatever_order_its_names_come(body, found, tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        emulator.script(Fault("raw", on="credits", body=body, times=None))
        report = run(emulator, tmp_path, clock, order=False)
    assert differs(report) == found
    if body.keys() == {"credits"}:
        assert "counts as 0" in report.differs[0].follows


def test_an_address_that_does_not_exist_is_no_empty_balance(tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        emulator.script(Fault("raw", on="credits", body={"error": "Not found"}, status=404, times=None))
        report = run(emulator, tmp_path, clock)
        assert emulator.charges == ()
    assert differs(report) == {"credits": "404 json"}
    assert "it is not known whether the key is accepted" in str(report)


def test_a_clock_that_is_days_wrong_is_named(tmp_path, clock):
    clock.ahead = 3 * 86400
    with Emulator() as emulator:
        (found,) = run(emulator, tmp_path, clock, order=False).differs
    assert found.belief.name == "clock"
    assert found.seen.startswith("2592")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("no-poll-url", after=1), "accepted without a poll_url"),
        (
            Fault("raw", on="submit", after=1, body={"request_id": "4f", "poll_url": "/4f"}),
            "accepted without a poll_url",
        ),
        (Fault("raw", on="submit", after=1, body={"error": "Payment required"}, status=402), "unknown outcome"),
        (Fault("drop-after", after=1), "unknown outcome"),
        (Fault("500", after=1), "unknown outcome"),
        (Fault("406-credits", after=1), "refused"),
    ],
)
def test_an_answer_to_an_order_is_named_as_what_it_is(fault, said, tmp_path, clock):
    with Emulator(clock=clock, history=False) as emulator:
        emulator.script(fault)
        report = run(emulator, tmp_path, clock)
    found = differs(report)
    assert found["order"] == said
    assert "poll-host" not in found
    if said == "refused":
        assert "Insufficient credits" in str(report)


def test_an_order_that_came_too_soon_is_no_difference(tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        emulator.script(Fault("429", after=1))
        report = run(emulator, tmp_path, clock)
    assert differs(report) == {}
    assert "order: HTTP 429 came instead" in str(report)


def test_a_429_between_answers_is_not_given_as_the_reason_for_what_they_do_not_show(tmp_path, clock):
    with Emulator(clock=clock, job_seconds=20) as emulator:
        emulator.script(Fault("429", on="poll", after=3))
        page = str(run(emulator, tmp_path, clock))
    assert "polls-count: the answers do not show it" in page


def test_a_result_that_has_no_url_is_named(tmp_path, clock):
    value = {"data": "data:image/png;base64,iVBORw0KGgo", "type": "image"}
    output = json.dumps([{"keyname": "body_swap_image", "value": value}])
    with Emulator(clock=clock) as emulator:
        emulator.script(Fault("raw", on="poll", after=1, body={"status": "COMPLETED", "output": output}, times=None))
        report = run(emulator, tmp_path, clock)
    assert differs(report) == {"output-host": "no URL", "output-url": "no URL"}
    assert [one for one in report.findings if not one.seen and not one.why] == []


def test_a_record_and_a_picture_that_are_gone_with_a_200_are_named(tmp_path, clock):
    with Emulator() as emulator:
        run(emulator, tmp_path, clock)
        emulator.script(
            Fault("raw", on="poll", body={"error": "Request expired"}, times=None),
            Fault("html", on="file", status=200, times=None),
        )
        clock.sleep(700)
        found = differs(run(emulator, tmp_path, clock, order=False))
    assert "gone" in found["record-life"]
    assert "gone" in found["picture-life"]


def test_a_file_behind_a_redirect_is_followed_as_tasks_follow_it(tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        elsewhere = f"{emulator.url}/samples/scene/0.png"
        emulator.script(Fault("redirect", on="file", body=elsewhere, after=1))
        report = run(emulator, tmp_path, clock)
    assert "picture" not in differs(report)
    assert "after a redirect to the connection's host" in " ".join(str(report).split())


def limited(remaining: list[int]) -> dict[str, Any]:
    """Return what is recorded of polls that tell what is left of a limit."""
    said = Cassette("https://api.segmind.com")
    for number, left in enumerate(remaining):
        headers = {"x-ratelimit-limit": "60", "x-ratelimit-remaining": str(left)}
        body = {"status": "PROCESSING", "output": ""}
        said.add({"step": "poll", "method": "GET", "url": "", "key": "bearer", "at": float(number), "took": 0.1,
                  "status": 200, "headers": headers, "body": body, "failure": ""})  # fmt: skip
    return {one.belief.name: one.seen for one in judge(said, {})}


@pytest.mark.parametrize(
    ("remaining", "found"),
    [
        ([*range(30, 0, -1), *range(59, 20, -1)], "they count"),
        ([50] * 40, "they do not count"),
        ([3, 2, 1, *range(59, 20, -1)], ""),
    ],
)
def test_a_new_window_of_a_limit_does_not_hide_that_polls_count(remaining, found):
    assert limited(remaining)["polls-count"] == found


def test_headers_that_count_requests_are_named_without_each_of_their_values(cassette):
    for number, one in enumerate(cassette["entries"]):
        one["headers"] |= {"x-ratelimit-used": str(number)}
    found = {one.belief.name: one.seen for one in judge(Cassette(cassette["host"], cassette["entries"]), {})}
    assert found["limit-headers"] == "x-ratelimit-used"


def test_one_slow_order_is_named_though_all_else_is_quick(cassette):
    only(cassette, "order")["took"] = 25.0
    (found,) = [one for one in judge(Cassette(cassette["host"], cassette["entries"]), {}) if one.follows]
    assert (found.belief.name, found.seen) == ("speed", "25 s")
    assert "three times 25 s" in found.follows


def test_the_page_says_how_long_things_took_and_shows_what_stands_for_ids_on_github(tmp_path, clock):
    with Emulator(clock=clock, job_seconds=60) as emulator:
        page = str(run(emulator, tmp_path, clock))
    assert "within 180 s (6" in page
    assert "s in the median)" in page
    assert "<" not in "".join(page.split("`")[::2])
