"""An order whose answer was lost is looked up in the account's request history: best effort, never a guess."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_segmind.api import history
from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    RateLimitError,
    SegmindError,
    ServiceError,
)
from airflow_provider_segmind.api.orders import OrderRecord, digests
from airflow_provider_segmind.api.wire import Answer
from tests.api.drive import INPUTS, PACE, WORKFLOW, Driver, answer, new_auth, settings

AT = 1795342770.0  # 2026-11-22 10:19:30 UTC
INTENT = OrderRecord(AT, digests(INPUTS), fingerprint="print", workflow=WORKFLOW)
ROW = {"request_id": "abc", "request_body": INPUTS, "model_created": "2026-11-22T10:19:31.000+00:00"}


def find(
    *answers: Answer, later: float = 3600.0, record: OrderRecord = INTENT, **parts: Any
) -> tuple[Driver, list[str]]:
    """Look for an order so many seconds after its intent; the last answer is given again and again."""
    driver = Driver(itertools.chain(answers, itertools.repeat(answers[-1]) if answers else ()), now=AT + later)
    steps = history.find(settings(**parts), new_auth(), record, clock=driver.clock, pace=PACE)
    return driver, driver.run(steps)


def page(*rows: Any) -> Answer:
    return answer({"data": list(rows), "page": 1})


def test_one_request_with_the_same_inputs_at_that_time_is_found() -> None:
    driver, found = find(page({**ROW, "request_id": "other", "request_body": {"prompt": "a cat"}}, ROW))
    assert found == ["abc"]
    url = urlsplit(driver.requests[0].url)
    assert f"{url.scheme}://{url.netloc}{url.path}" == (
        "https://api.spotprod.segmind.com/inference-request/request-history"
    )
    assert parse_qs(url.query) == {
        "page": ["1"],
        "per_page": ["100"],
        "from_date": ["2026-11-22"],
        "to_date": ["2026-11-22"],
    }


def test_a_request_with_several_outputs_has_several_rows_and_counts_once() -> None:
    assert find(page(ROW, ROW))[1] == ["abc"]


def test_two_requests_that_can_be_it_are_both_named() -> None:
    assert find(page(ROW, {**ROW, "request_id": "def"}))[1] == ["abc", "def"]


def test_defaults_that_the_service_added_do_not_hide_it() -> None:
    assert find(page({**ROW, "request_body": {**INPUTS, "seed": 7}}))[1] == ["abc"]


@pytest.mark.parametrize("shape", ["list", "results", "text"])
def test_other_shapes_of_a_page_are_read_too(shape: str) -> None:
    import json

    row = {**ROW, "request_body": json.dumps(INPUTS)} if shape == "text" else ROW
    body = [row] if shape == "list" else {"total": 1, "results": [row]}
    assert find(answer(body))[1] == ["abc"]


@pytest.mark.parametrize(
    "row",
    [
        {**ROW, "request_body": {**INPUTS, "select_character": "man"}},
        {**ROW, "request_body": {"character_image": INPUTS["character_image"]}},
        {**ROW, "request_body": "{broken"},
        {**ROW, "request_body": None},
        {**ROW, "model_created": "2026-11-22T09:00:00Z"},
        {**ROW, "model_created": "2026-11-22T12:00:00Z"},
        {**ROW, "model_created": "lately"},
        {**ROW, "model_created": None},
        {**ROW, "request_id": 7},
        "nonsense",
    ],
)
def test_what_cannot_be_recognised_is_not_it(row: Any) -> None:
    driver, found = find(page(row))
    assert found == []
    assert driver.seconds == []


def test_an_order_with_an_input_of_its_own_is_found_as_soon_as_it_appears() -> None:
    driver, found = find(page(), page(), page(ROW), later=36, record=replace(INTENT, own=True))
    assert found == ["abc"]
    assert driver.seconds == [2.0, 4.0]


def test_an_order_that_others_can_have_the_inputs_of_is_looked_for_until_it_must_be_there() -> None:
    """The other one is listed first; taken for it, it would leave its charge unnamed."""
    driver, found = find(page(), *[page(ROW)] * 4, page(ROW, {**ROW, "request_id": "def"}), later=36)
    assert found == ["abc", "def"]
    assert driver.now - AT >= 35 + history.SETTLED


@pytest.mark.parametrize(
    ("row", "until"),
    [
        ({"model_completed": None}, 95.0),
        ({"latency_ms": 40_000}, 95.0 + 3 * 40),
        ({}, 36.0 + history.PATIENCE),
        ({"latency_ms": 50_000, "request_body": {}}, 95.0 + 3 * 50),
        ({"model_created": "2026-11-22T09:00:00Z"}, 95.0 + 3 * history.USUAL),
    ],
)
def test_where_only_what_has_ended_is_listed_it_is_looked_for_longer(row: dict[str, Any], until: float) -> None:
    driver, _ = find(page({**ROW, **row}), later=36)
    assert until <= driver.now - AT <= until + 1


def test_an_id_that_an_answer_named_needs_no_history() -> None:
    driver, found = find(record=replace(INTENT, request_id="known"))
    assert (driver.requests, found) == ([], ["known"])


def test_all_pages_are_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    other = {**ROW, "request_body": {}}
    full = page(*[other] * history.PER_PAGE)
    driver, found = find(full, page(ROW))
    assert found == ["abc"]
    assert [parse_qs(urlsplit(request.url).query)["page"] for request in driver.requests] == [["1"], ["2"]]
    monkeypatch.setattr(history, "MOST_PAGES", 7)
    driver, found = find(full)
    assert found == []
    assert len(driver.requests) == 7


def test_a_history_of_slow_pages_holds_a_worker_for_minutes_and_not_for_hours() -> None:
    full = page(*[{**ROW, "request_body": {}}] * (history.PER_PAGE - 1), ROW)
    driver = Driver(())

    def pages() -> Iterator[Answer]:
        while True:
            driver.now += 30.0
            yield full

    driver.answers, driver.now = pages(), AT + 3600
    steps = history.find(settings(), new_auth(), INTENT, clock=driver.clock, pace=PACE)
    assert driver.run(steps) == ["abc"]
    assert driver.now - AT - 3600 <= history.PATIENCE + 30


def test_where_no_history_is_known_none_is_asked() -> None:
    driver, found = find(host="gateway.example.com")
    assert (driver.requests, found) == ([], [])


@pytest.mark.parametrize(
    ("said", "cls"), [(answer(b"<html>", 502), ServiceError), (answer({"error": "slow down"}, 429), RateLimitError)]
)
def test_an_outage_of_the_history_is_waited_out_and_then_told(said: Answer, cls: type[SegmindError]) -> None:
    assert find(*[said] * 8, page(ROW))[1] == ["abc"]
    with pytest.raises(cls):
        find(said)


def test_the_wait_for_a_history_that_never_answers_is_bounded_by_time() -> None:
    driver = Driver(itertools.repeat(answer({"total": 0})), now=AT)
    with pytest.raises(ServiceError, match="request history did not answer"):
        driver.run(history.find(settings(), new_auth(), INTENT, clock=driver.clock, pace=PACE))
    assert history.PATIENCE <= driver.now - AT < history.PATIENCE + 60


def test_where_there_is_no_history_the_error_says_that_and_nothing_about_a_workflow() -> None:
    with pytest.raises(InvalidRequestError, match="no request history at this address") as error:
        find(answer({"error": "Not found"}, 404))
    assert "workflow" not in str(error.value)


def test_a_history_that_refuses_the_key_is_not_asked_again() -> None:
    with pytest.raises(AuthenticationError):
        find(answer({}, 401), answer({}, 401))


def test_an_order_without_recorded_inputs_matches_nothing() -> None:
    row = history.Row("abc", INPUTS, AT)
    assert history.matches(row, INTENT)
    assert not history.matches(row, replace(INTENT, sent={}))


def test_a_poll_url_can_only_be_guessed() -> None:
    assert history.poll_url_of(settings(), "abc") == "https://api.segmind.com/workflows/request/abc"


class TestSearch:
    """All requests of a span of time, for many orders at once."""

    def search(self, *answers: Answer, **parts: Any) -> tuple[Driver, list[history.Listing | None]]:
        driver, search = Driver(iter(answers)), history.Search(AT, AT)
        found: list[history.Listing | None] = []
        while not found or found[-1] is None:
            found.append(driver.run(search.page(settings(**parts), new_auth(), pace=PACE)))
        return driver, found

    def rows(self, count: int, created: str = ROW["model_created"]) -> list[Any]:
        return [{**ROW, "request_id": f"{created} {n}", "model_created": created} for n in range(count)]

    def test_it_goes_on_page_by_page_until_one_is_not_full(self) -> None:
        driver, found = self.search(page(*self.rows(100)), page(*self.rows(3)))
        assert found[0] is None
        assert found[1] is not None
        assert (len(found[1].rows), found[1].size, found[1].complete) == (103, 103, True)
        assert [parse_qs(urlsplit(request.url).query)["page"] for request in driver.requests] == [["1"], ["2"]]

    def test_it_ends_at_a_page_that_is_older_as_a_whole(self) -> None:
        old = "2026-11-22T09:00:00.000+00:00"
        mixed = page(*self.rows(99, old), *self.rows(1))
        driver, found = self.search(mixed, page(*self.rows(100, old)))
        assert len(driver.requests) == 2
        assert found[-1] is not None
        assert found[-1].complete

    def test_what_it_cannot_read_makes_it_incomplete(self) -> None:
        _, found = self.search(page(*self.rows(2), {"request_id": "abc"}))
        assert found[0] is not None
        assert (len(found[0].rows), found[0].size, found[0].complete) == (2, 3, False)

    def test_it_does_not_go_on_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(history, "MOST_PAGES", 2)
        driver, found = self.search(*(page(*self.rows(100)) for _ in range(3)))
        assert len(driver.requests) == 2
        assert found[-1] is not None
        assert not found[-1].complete

    def test_two_readings_list_what_either_of_them_listed(self) -> None:
        first, second = (history.Listing((history.Row(name, INPUTS, AT),), name == "a", 1) for name in "ab")
        both = first.and_also(second)
        assert [row.request_id for row in both.rows] == ["a", "b"]
        assert not both.complete

    def test_without_a_history_it_asks_nobody_and_is_incomplete(self) -> None:
        driver, found = self.search(host="https://gateway.example.com")
        assert driver.requests == []
        assert found == [history.Listing((), complete=False, size=0)]

    @pytest.mark.parametrize(
        ("fields", "running", "took"),
        [
            ({}, False, None),
            ({"latency_ms": 1500}, False, 1.5),
            ({"latency_ms": None, "model_completed": "2026-11-22T10:19:41.000+00:00"}, False, 10.0),
            ({"model_completed": None}, True, None),
            ({"latency_ms": None}, True, None),
            ({"latency_ms": None, "model_status": "PENDING"}, True, None),
            ({"latency_ms": None, "model_status": "FAILED"}, False, None),
        ],
    )
    def test_how_far_a_request_is(self, fields: dict[str, Any], running: bool, took: float | None) -> None:
        _, found = self.search(page({**ROW, **fields}))
        assert found[0] is not None
        assert (found[0].rows[0].running, found[0].rows[0].took) == (running, took)


def test_what_a_history_lists_is_cleaned_like_every_answer() -> None:
    row = {"request_id": "../../v1/credits\n?x=\x00", "request_body": "[" * 900, "created_at": "1970-01-01"}
    assert history.read_history(settings(), answer([row])).rows == ()
    readable = {**row, "request_body": {"a": 1}, "latency_ms": float("inf")}
    (read,) = history.read_history(settings(), answer([readable])).rows
    assert read.request_id == "../../v1/credits ?x=\ufffd"
    assert read.took is None
    own = f"{settings().base_url}/workflows/request/"
    assert history.poll_url_of(settings(), read.request_id) == f"{own}..%2F..%2Fv1%2Fcredits%20%3Fx%3D%EF%BF%BD"
