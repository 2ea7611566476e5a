"""Every way to wait has the same patience: an outage, a late order and a wrong clock lose no picture."""

from __future__ import annotations

import json
import logging
import re
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_segmind.api.batches import BatchHeader
from airflow_provider_segmind.api.errors import JobExpiredError, JobFailedError, JobTimeoutError, ServiceError
from airflow_provider_segmind.api.history import PER_PAGE
from airflow_provider_segmind.api.manifest import Swap
from airflow_provider_segmind.api.orders import OrderRecord, digests
from airflow_provider_segmind.api.poller import Poller
from airflow_provider_segmind.api.wire import Request, Response
from airflow_provider_segmind.batch.files import BatchFiles
from airflow_provider_segmind.batch.ordering import Ordering, Terms
from airflow_provider_segmind.batch.settling import OUTAGE, SLOWEST
from airflow_provider_segmind.compat import AirflowFailException, AirflowSensorTimeout, TaskDeferred
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.observability.metrics import Counters
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, BodySwapOperator
from airflow_provider_segmind.orders.ledger import OrderLedger
from airflow_provider_segmind.orders.store import OrderStore
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.triggers.batch import BodySwapBatchTrigger
from airflow_provider_segmind.triggers.segmind import PixelFlowTrigger
from tests.api.drive import INPUTS, POLL_URL, PROCESSING, WORKFLOW, answer
from tests.api.virtual import DOWN, GONE, Clock, Service, between, run_virtually
from tests.provider.running import context
from tests.provider.virtual import MODES, World

MINUTES_10 = 600.0
GONE_ERRORS = (JobExpiredError, AirflowFailException)
FAILED = answer({"status": "FAILED", "error": "no person in the picture"})


@pytest.fixture(autouse=True)
def pauses() -> None:
    """Leave pauses as they are: time is virtual here."""


@pytest.mark.parametrize("mode", MODES)
def test_an_outage_of_ten_minutes_loses_no_picture(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(Clock(), between(20, 20 + MINUTES_10, DOWN))
    assert World(monkeypatch, service).wait(mode) == "COMPLETED"
    assert service.clock.passed < 20 + MINUTES_10 + 45


@pytest.mark.parametrize("mode", MODES)
def test_an_outage_that_outlasts_the_timeout_ends_in_a_timeout_that_names_it(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(Clock(), between(20, 9999, DOWN))
    with pytest.raises((JobTimeoutError, AirflowSensorTimeout), match="HTTP 502"):
        World(monkeypatch, service).wait(mode, timeout=300)
    assert service.clock.passed == pytest.approx(300, abs=1)


@pytest.mark.parametrize("mode", MODES)
def test_404s_in_the_first_minute_of_an_order_lose_no_picture(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(Clock(), between(0, 60, GONE))
    assert World(monkeypatch, service).wait(mode) == "COMPLETED"


@pytest.mark.parametrize("mode", MODES)
def test_one_404_does_not_expire_a_job_that_was_seen_alive(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [PROCESSING, GONE]
    service = Service(Clock(), lambda _: said.pop(0) if said else None)
    assert World(monkeypatch, service).wait(mode) == "COMPLETED"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("poke_interval", [7, 600])
def test_a_job_that_is_really_gone_is_named_within_two_minutes(
    mode: str, poke_interval: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(Clock(), between(0, 9999, GONE))
    with pytest.raises(GONE_ERRORS, match="no longer knows this job"):
        World(monkeypatch, service).wait(mode, poke_interval=poke_interval)
    assert service.clock.passed < 120


@pytest.mark.parametrize("mode", ["hook", "poke", "deferrable"])
@pytest.mark.parametrize("most", [60, timedelta(minutes=1)])
def test_whoever_wants_less_patience_gets_the_error_after_that_time_and_a_retry_goes_on(
    mode: str, most: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(Clock(), between(20, 200, DOWN))
    world = World(monkeypatch, service)
    with pytest.raises(ServiceError, match="HTTP 502"):
        world.wait(mode, max_outage=most)
    assert 80 <= service.clock.passed < 110
    service.clock.sleep(200)
    assert world.wait(mode, max_outage=most) == "COMPLETED"


def test_in_reschedule_mode_an_outage_is_always_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(Clock(), between(20, 200, DOWN))
    assert World(monkeypatch, service).wait("reschedule", max_outage=60) == "COMPLETED"


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_poke_in_an_outage_is_one_get(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(Clock(), between(0, 290, DOWN), lambda _: 290.0)
    World(monkeypatch, service).wait(mode, poke_interval=100)
    assert len(service.asked) == 4


@pytest.mark.parametrize("mode", ["hook", "poke"])
def test_the_log_has_one_line_when_an_outage_begins_and_one_when_it_ends(
    mode: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    World(monkeypatch, Service(Clock(), between(5, 200, DOWN))).wait(mode)
    said = [record.getMessage() for record in caplog.records if record.name.endswith("patience")]
    assert len(said) == 2
    assert "does not answer" in said[0]
    assert "answers again after" in said[1]


def test_the_hook_raises_for_a_job_that_failed_and_returns_it_to_whoever_asks_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    World(monkeypatch, Service(Clock(), lambda _: FAILED))
    with pytest.raises(JobFailedError, match="no person in the picture"):
        SegmindHook().wait(POLL_URL)
    assert SegmindHook().get_job(POLL_URL).status == "FAILED"


@pytest.mark.parametrize("ahead", [-150.0, 0.0, 150.0])
def test_a_triggerer_with_a_wrong_clock_sees_the_result_in_time(ahead: float, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(Clock(), lasts=lambda _: 18.0)
    world = World(monkeypatch, service, ahead)
    trigger = PixelFlowTrigger(POLL_URL, "segmind_default", service.clock() + 20, submitted_at=service.clock())
    assert world.event(trigger)["job"]["status"] == "COMPLETED"
    assert service.clock.passed < 20 + 1.5 * 7  # the deadline, and one interval, which is spread at random


@pytest.mark.parametrize("behind", [0.0, 110.0])
def test_a_deadline_of_a_clock_that_nobody_knows_ends_no_wait_too_early(
    behind: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own first look had no answer, or the scheduler set it. Airflow ends the wait in time, by its own clock."""
    service = Service(Clock(), lasts=lambda _: 115.0)
    trigger = PixelFlowTrigger(POLL_URL, "segmind_default", service.clock() - behind + 120)
    assert World(monkeypatch, service).event(trigger)["job"]["status"] == "COMPLETED"


def test_the_task_that_orders_tells_the_trigger_how_far_its_clock_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(Clock())
    World(monkeypatch, service)
    monkeypatch.setattr("airflow_provider_segmind.hooks.segmind.Client", lambda *_: service.client(150.0))
    with pytest.raises(TaskDeferred) as deferred:
        BodySwapSensor(task_id="wait", poll_url=POLL_URL, max_outage=60).execute(context())
    kwargs = deferred.value.trigger.serialize()[1]
    assert kwargs["clock_offset"] == pytest.approx(150.0, abs=1)
    assert kwargs["max_outage"] == 60.0


# -- the batch -----------------------------------------------------------------------------------------


def batch(folder: Path, service: Service, count: int, **changes: Any) -> BodySwapBatchTrigger:
    """Return the trigger of a batch whose swaps were all ordered now."""
    files = BatchFiles(str(folder / "results.jsonl"), "b")
    files.write_swaps(
        {
            "index": number,
            "request_id": f"{number:03}",
            "poll_url": f"{POLL_URL[:-3]}{number:03}",
            "workflow": WORKFLOW,
            "submitted_at": service.clock(),
        }
        for number in range(count)
    )
    parts = {"deadline": service.clock() + 3600, **changes}
    return BodySwapBatchTrigger(files.results, files.batch, "segmind_default", **parts)


def test_an_outage_of_ten_minutes_loses_none_of_two_hundred_swaps_of_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(Clock(), between(10, 10 + MINUTES_10, DOWN), lambda request_id: 5.0 + int(request_id[-3:]))
    event = World(monkeypatch, service).event(batch(tmp_path, service, 200))
    assert event["summary"]["by_status"] == {"COMPLETED": 200}
    assert len(service.asked) < 200 * 40, "it was not polite"


def test_an_outage_is_said_once_for_all_swaps_of_a_batch_and_asks_no_more_than_their_polls_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "airflow_provider_segmind.api.patience")
    service = Service(Clock(), between(10, 100, DOWN), lambda request_id: 60.0)
    World(monkeypatch, service).event(batch(tmp_path, service, 50))
    begins, ends = (record.getMessage() for record in caplog.records)
    assert begins.startswith("Segmind does not answer.")
    assert re.fullmatch(r"Segmind answers again after \d+ s and \d+ failed polls\.", ends)
    assert sum(10 <= at < 38 for at in service.asked) <= 50 * 4


def test_404s_lose_no_swap_of_a_batch_unless_it_is_really_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(Clock(), between(0, 60, GONE))
    event = World(monkeypatch, service).event(batch(tmp_path, service, 20))
    assert event["summary"]["by_status"] == {"COMPLETED": 20}
    service = Service(Clock(), between(0, 9999, GONE))
    event = World(monkeypatch, service).event(batch(tmp_path / "other", service, 20))
    assert event["summary"]["by_status"] == {"EXPIRED": 20}
    assert service.clock.passed < 120


def test_a_batch_that_wants_less_patience_leaves_the_rest_to_its_retry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(Clock(), between(0, 300, DOWN))
    trigger = batch(tmp_path, service, 5, max_outage=60.0)
    event = World(monkeypatch, service).event(trigger)
    assert event["summary"]["by_status"] == {"UNFINISHED": 5}
    assert service.clock.passed < 100


@pytest.mark.parametrize("ahead", [-150.0, 0.0, 150.0])
def test_a_batch_is_neither_late_nor_cut_short_by_a_wrong_clock(
    ahead: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(Clock(), lasts=lambda request_id: 18.0 if int(request_id[-3:]) < 3 else 60.0)
    event = World(monkeypatch, service, ahead).event(batch(tmp_path, service, 5, deadline=service.clock() + 65))
    assert event["summary"]["by_status"] == {"COMPLETED": 5}
    assert service.asked[0] < 20
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert all(row["seconds"] >= 0 for row in rows)


def test_the_operators_take_a_max_outage_and_a_timeout_as_a_timedelta() -> None:
    pictures = {"character_image": "https://a.example/1.png", "reference_character_image": "https://a.example/2.png"}
    how: dict[str, Any] = {"timeout": timedelta(hours=1), "max_outage": timedelta(minutes=5)}
    one = BodySwapOperator(task_id="one", **pictures, **how)
    many = BodySwapBatchOperator(task_id="many", swaps=[], results_uri="/r", **how)
    assert (one.timeout, one.max_outage) == (many.timeout, many.max_outage) == (3600.0, 300.0)


class Historian(Service):
    """
    A service that has one order, and a history that does not answer for the first seconds.

    :param slow: seconds that each of very many pages takes, if there are so many.
    """

    def __init__(self, clock: Clock, *given: Any, away: float = 300.0, slow: float = 0.0) -> None:
        super().__init__(clock, *given)
        self.away = away
        self.slow = slow

    def poll(self, request: Request, local: float) -> Response:
        if "request-history" not in request.url:
            return super().poll(request, local)
        self.clock.sleep(self.slow)
        row = {"request_id": "found", "request_body": INPUTS, "model_created": str(self.clock.began)}
        rows = [{**row, "request_body": {}}] * PER_PAGE if self.slow else [row]
        return DOWN if self.clock.passed < self.away else answer({"data": rows})


class Moving(Historian):
    """A history of two pages; the order ends, and moves to the first page, before the second is read."""

    def __init__(self, clock: Clock, ordered: list[str]) -> None:
        super().__init__(clock)
        self.ordered = ordered
        self.pages: list[int] = []

    def poll(self, request: Request, local: float) -> Response:
        if "request-history" not in request.url:
            return super().poll(request, local)
        (number,) = map(int, parse_qs(urlsplit(request.url).query)["page"])
        self.pages.append(number)
        row = {"request_body": INPUTS, "model_created": str(self.clock.began)}
        rows = [{**row, "request_body": {}, "request_id": f"other {n}"} for n in range(PER_PAGE)]
        if number == 2:
            rows = [{**row, "request_id": name, "model_completed": None} for name in self.ordered]
        elif 2 in self.pages:
            rows[0] = {**row, "request_id": "found"}
        return answer({"data": rows})


def test_an_order_that_moves_in_the_history_while_it_is_read_is_not_taken_for_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was paid for; as absent it would be ordered again."""
    ordered = ["a", "b", "c"]
    service = Moving(Clock(), ordered)
    others = [
        OrderRecord(service.clock(), digests(INPUTS), request_id=name, poll_url=f"https://x/{name}") for name in ordered
    ]
    ordering, entry = settle(monkeypatch, service, *others)
    assert service.pages[:4] == [1, 2, 1, 2]
    assert entry.request_id == "found"
    assert not ordering.errors


def settle(monkeypatch: pytest.MonkeyPatch, service: Historian, *others: OrderRecord) -> tuple[Ordering, OrderRecord]:
    """Have a batch find out what became of its one order, beside others that are known, and return how that went."""
    client = service.aclient()
    time = SimpleNamespace(time=service.clock, gmtime=lambda at: None, strftime=lambda form, at: "then")
    for module in ("ordering", "settling"):
        monkeypatch.setattr(f"airflow_provider_segmind.batch.{module}.time", time)
    swap = Swap(0, "item 0", INPUTS["character_image"], INPUTS["reference_character_image"], "woman")
    entries = [OrderRecord(service.clock(), digests(INPUTS)), *others]
    ledger = OrderLedger(OrderStore({}), BatchHeader("f", 0, 1, "b"), dict(enumerate(entries)))

    async def clients(*, refused: Any = None) -> Any:
        return client

    async def run() -> Ordering:
        connection: Any = SimpleNamespace(
            client=clients, poller=Poller(clients, clock=client.clock), counters=Counters("segmind_default")
        )
        client._sleep = lambda seconds: _sleep(service.clock, seconds)
        ordering = Ordering(connection, ledger, [swap], Terms(WORKFLOW, 1, False), lambda index, job: None)
        await ordering.run([])
        return ordering

    ordering = run_virtually(service.clock, run())
    ledger.close()
    return ordering, ledger.entries[0]


def test_a_batch_waits_for_a_request_history_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    ordering, entry = settle(monkeypatch, Historian(Clock(), between(0, 330, GONE)))
    assert not ordering.errors
    assert entry.request_id == "found"


def test_a_batch_adopts_an_order_that_the_history_has_also_while_it_cannot_be_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever waits for it waits the outage out; left to a person, it would be paid for and lost."""
    ordering, entry = settle(monkeypatch, Historian(Clock(), between(0, 9999, DOWN), away=0.0))
    assert not ordering.errors
    assert entry.request_id == "found"


@pytest.mark.parametrize(
    ("how", "most"), [({"away": 1e9}, OUTAGE + 60), ({"away": 0.0, "slow": 20.0}, 2 * SLOWEST + OUTAGE)]
)
def test_a_history_that_never_answers_or_never_ends_holds_the_worker_of_a_batch_for_minutes(
    monkeypatch: pytest.MonkeyPatch, how: dict[str, float], most: float
) -> None:
    service = Historian(Clock(), **how)
    ordering, entry = settle(monkeypatch, service)
    assert "the request history cannot tell" in str(ordering.errors[0])
    assert entry.pending
    assert service.clock.passed < most


async def _sleep(clock: Clock, seconds: float) -> None:
    clock.sleep(seconds)
