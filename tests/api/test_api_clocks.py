"""Machines' clocks differ: what a time of another machine does to a wait."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.aclient import AsyncClient
from airflow_provider_segmind.api.clocks import UNKNOWN, clock_offset, known_offset
from airflow_provider_segmind.api.errors import (
    JobTimeoutError,
    TransportError,
)
from airflow_provider_segmind.api.poller import Poller
from airflow_provider_segmind.api.wire import Request, Response
from tests.api import virtual
from tests.api.drive import POLL_URL, settings
from tests.api.virtual import FOREIGN, GONE, REFUSED, Clock, Service, Triggerer, run_virtually

SKEW = 150.0


@pytest.mark.parametrize("ahead", [-SKEW, 0.0, SKEW])
def test_the_first_poll_comes_within_half_the_usual_time_whatever_the_clocks_say(ahead: float) -> None:
    service = Service(Clock())
    triggerer = Triggerer(service, ahead)
    triggerer.run(triggerer.wait(submitted_at=service.clock()))
    assert service.asked[0] < 17.5 * 1.1


@pytest.mark.parametrize("said", ["now", float("nan"), 4e9])
def test_a_time_of_the_order_that_cannot_be_true_puts_nothing_off(said: Any) -> None:
    service = Service(Clock())
    triggerer = Triggerer(service)
    (job,) = triggerer.run(triggerer.wait(submitted_at=said))
    assert job.done
    assert service.asked[0] < 17.5 * 1.1


@pytest.mark.parametrize("ahead", [-SKEW, 0.0, SKEW])
def test_a_deadline_is_not_brought_forward_by_a_clock_that_is_ahead(ahead: float) -> None:
    service = Service(Clock(), lasts=lambda _: 9999.0)
    triggerer = Triggerer(service, ahead)
    (error,) = triggerer.run(triggerer.wait(timeout=120.0))
    assert isinstance(error, JobTimeoutError)
    assert 118.0 <= service.clock.passed <= 122.0 + max(0.0, -ahead)


def test_two_machines_that_are_wrong_alike_end_a_wait_in_time() -> None:
    service = Service(Clock(), lasts=lambda _: 9999.0)
    triggerer = Triggerer(service, SKEW)
    deadline = triggerer.client.clock() + 120.0
    triggerer.run(triggerer.wait(deadline=deadline, clock_offset=SKEW))
    assert 118.0 <= service.clock.passed <= 122.0


def test_a_deadline_of_the_same_machine_is_taken_as_it_is() -> None:
    service = Service(Clock(), lasts=lambda _: 9999.0)
    triggerer = Triggerer(service, SKEW)
    triggerer.run(triggerer.wait(deadline=triggerer.client.clock() + 120.0, clock_offset=None))
    assert 118.0 <= service.clock.passed <= 122.0


def test_orders_of_a_machine_whose_clock_is_behind_do_not_teach_that_jobs_take_long() -> None:
    service = Service(Clock())
    triggerer = Triggerer(service)
    submitted_at = service.clock() - SKEW
    triggerer.run(*(triggerer.wait(number=n, workflow="swap", submitted_at=submitted_at) for n in range(20)))
    assert triggerer.poller._schedule.timing("swap").median == pytest.approx(35.0)


def test_a_clock_that_nobody_knows_counts_as_far_behind() -> None:
    assert (known_offset(7.0), known_offset(0.0), known_offset(None)) == (7.0, 0.0, UNKNOWN)


@pytest.mark.parametrize(
    ("date", "offset"),
    [
        ("Fri, 15 Jan 2027 08:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2027 07:59:59 GMT", 0.0),
        ("Fri, 15 Jan 2027 07:57:30 GMT", 150.0),
        ("Fri, 15 Jan 2027 08:02:30 GMT", -150.0),
        ("", 7.0),
        ("yesterday", 7.0),
        ("0", 7.0),
        ("Fri, 15 Jan 2010 08:00:00 GMT", 7.0),
    ],
)
def test_an_answer_tells_how_far_a_clock_is_ahead_unless_that_cannot_be_true(date: str, offset: float) -> None:
    assert clock_offset(Response(200, {"date": date}, at=1_800_000_000.0), 7.0) == offset


@pytest.mark.parametrize("ahead", [-SKEW, 0.0, SKEW])
def test_both_clients_learn_how_far_their_clocks_are_ahead(ahead: float) -> None:
    service = Service(Clock())
    client, other = service.client(ahead), service.aclient(ahead)
    client.run(flow.get_job(client.settings, client.auth, POLL_URL))
    run_virtually(service.clock, other.run(flow.get_job(other.settings, other.auth, POLL_URL)))
    assert client.clock_offset == other.clock_offset == pytest.approx(ahead, abs=1.0)
    service.fault = lambda _: REFUSED
    with pytest.raises(TransportError):
        client.run(flow.get_job(client.settings, client.auth, POLL_URL))
    assert client.clock_offset == pytest.approx(ahead, abs=1.0)


@pytest.mark.parametrize("fault", [FOREIGN, GONE], ids=["foreign FAILED", "404"])
def test_an_old_date_does_not_shorten_doubt(fault: Any) -> None:
    """An HTTP cache keeps the Date of what it stored."""
    clock = virtual.Clock()
    service = virtual.Service(clock, lambda at: fault if at < 80 else None, lambda _: 85.0)
    seen: list[Response] = []

    class Cached(AsyncClient):
        async def send(self, request: Request) -> Response:
            got = service.poll(request, clock())
            if not seen:
                got = Response(got.status, {"date": formatdate(clock() - 3600, usegmt=True)}, got.body, got.at)
            seen.append(got)
            self.clock_offset = clock_offset(got, self.clock_offset)
            return got

    client = Cached(settings(), None, clock=clock)  # type: ignore[arg-type]

    async def clients(*, refused: Any = None) -> AsyncClient:
        return client

    async def wait() -> str:
        poller = Poller(clients, clock=clock)
        try:
            return (await poller.wait(POLL_URL, deadline=clock() + 3600, clock_offset=0.0)).status
        finally:
            await poller.close()

    assert virtual.run_virtually(clock, wait()) == "COMPLETED"
