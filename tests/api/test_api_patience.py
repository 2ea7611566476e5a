"""How long a job is waited for: in time, not in errors. Without a socket, and in virtual time."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.clocks import UNKNOWN, clock_offset, known_offset
from airflow_provider_segmind.api.errors import (
    InvalidRequestError,
    JobExpiredError,
    JobTimeoutError,
    RateLimitError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.patience import Said, Watch, check_interval, check_outage
from airflow_provider_segmind.api.poller import Poller
from airflow_provider_segmind.api.wire import Response
from tests.api.drive import COMPLETED, POLL_URL, PROCESSING, answer
from tests.api.virtual import DOWN, GONE, Clock, Service, between, run_virtually

MINUTES_10 = 600.0
REFUSED = ConnectionRefusedError("no")
SKEW = 150.0


def wait(service: Service, *, timeout: float = 3600.0, **options: Any) -> Job:
    """Wait as a worker does."""
    client = service.client()
    deadline = client.clock() + timeout
    return client.run(
        flow.wait(client.settings, client.auth, POLL_URL, deadline=deadline, clock=client.clock, **options)
    )


class Triggerer:
    """
    A poller whose clock is ahead.

    :param service: whom it asks.
    :param ahead: seconds.
    """

    def __init__(self, service: Service, ahead: float = 0.0) -> None:
        self.service = service
        self.client = service.aclient(ahead)
        self.poller = Poller(self.clients, clock=self.client.clock)

    async def clients(self, *, refused: Any = None) -> Any:
        """Return the client."""
        return self.client

    def wait(self, timeout: float = 3600.0, number: int = 0, **options: Any) -> Any:
        """Wait for a job until a deadline that a machine with the true time has set."""
        deadline = self.service.clock() + timeout
        return self.poller.wait(f"{POLL_URL[:-3]}{number:03}", **{"deadline": deadline, "clock_offset": 0.0, **options})

    def run(self, *waits: Any) -> list[Any]:
        """Wait for all, and return what became of each."""

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*waits, return_exceptions=True)

        return run_virtually(self.service.clock, all_of_them())


def both(service: Service, **options: Any) -> Any:
    """Return what a wait comes to in a triggerer, after it was seen that a worker comes to the same."""
    of_worker = outcome(lambda: wait(Service(Clock(), service.fault, service.lasts), **options))
    triggerer = Triggerer(service)
    (of_triggerer,) = triggerer.run(triggerer.wait(**options))
    assert type(of_worker) is type(of_triggerer), (of_worker, of_triggerer)
    return of_triggerer


def outcome(work: Any) -> Any:
    try:
        return work()
    except SegmindError as error:
        return error


# -- outages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [DOWN, REFUSED, answer(b"{"), answer({}, 408), answer({}, 425), answer({}, 429)])
def test_an_outage_of_ten_minutes_ends_no_wait(said: Any) -> None:
    service = Service(Clock(), between(20, 20 + MINUTES_10, said))
    assert both(service).status == "COMPLETED"
    assert service.clock.passed < 20 + MINUTES_10 + 45


def test_an_outage_of_ten_minutes_loses_none_of_two_hundred_waits() -> None:
    service = Service(Clock(), between(10, 10 + MINUTES_10, DOWN), lambda request_id: 5.0 + int(request_id[-3:]))
    triggerer = Triggerer(service)
    jobs = triggerer.run(*(triggerer.wait(number=number) for number in range(200)))
    assert [job.status for job in jobs] == ["COMPLETED"] * 200
    assert service.clock.passed < 10 + MINUTES_10 + 60


def test_an_outage_is_asked_politely() -> None:
    service = Service(Clock(), between(0, MINUTES_10, DOWN))
    wait(service)
    steps = [after - before for before, after in zip(service.asked, service.asked[1:], strict=False)]
    assert max(steps) <= 37.5
    assert len(steps) < 35


def test_an_outage_does_not_teach_that_jobs_take_long() -> None:
    service = Service(Clock(), between(10, 10 + MINUTES_10, DOWN), lambda _: 20.0)
    triggerer = Triggerer(service)
    triggerer.run(triggerer.wait(workflow="swap", submitted_at=service.clock()))
    assert triggerer.poller._schedule.timing("swap").seen == 0


def test_the_log_says_when_an_outage_begins_and_when_it_ends_and_nothing_for_each_poll(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    service = Service(Clock(), between(20, 115, DOWN), lambda _: 200.0)
    wait(service)
    begins, ends = (record.getMessage() for record in caplog.records)
    assert begins.startswith("Segmind does not answer. It is asked again until it does, or until the timeout:")
    assert "HTTP 502" in begins
    failed = sum(20 <= at < 115 for at in service.asked)
    assert ends.startswith("Segmind answers again after ")
    assert ends.endswith(f" s and {failed} failed polls.")


def test_jobs_of_one_task_say_together_that_an_outage_begins_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    said = Said()
    one, other = (Watch(f"{POLL_URL}{number}", 9999.0, said=said) for number in (1, 2))
    running = Job("a", POLL_URL, "PROCESSING")
    for watch in (one, other):
        watch.failed(ServiceError("down"), 10.0)
    assert not one.answered(running, 30.0)
    other.failed(ServiceError("down"), 29.0)  # asked before the good answer came
    assert not other.answered(running, 31.0)
    begins, ends = (record.getMessage() for record in caplog.records)
    assert begins.startswith("Segmind does not answer.")
    assert ends == "Segmind answers again after 20 s and 2 failed polls."


def test_a_429_is_said_once_and_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert wait(Service(Clock(), between(5, 300, answer({}, 429))), max_outage=1.0).done
    assert [record.getMessage()[:19] for record in caplog.records] == ["Segmind answers 429"]


def test_at_the_deadline_of_an_outage_there_is_a_last_look_and_its_error_is_named() -> None:
    service = Service(Clock(), between(20, 9999, DOWN))
    error = both(service, timeout=300.0)
    assert isinstance(error, JobTimeoutError)
    assert "HTTP 502" in str(error)
    assert "may still finish and is billed" in str(error)
    assert service.asked[-1] == pytest.approx(300.0, abs=1.0)


def test_whoever_wants_less_patience_is_given_the_last_error_after_that_time() -> None:
    service = Service(Clock(), between(20, 9999, DOWN))
    assert isinstance(both(service, max_outage=60.0), ServiceError)
    failed = [at for at in service.asked if at >= 20]
    assert failed[-1] - failed[0] == pytest.approx(60.0, abs=1.0)


def test_an_outage_that_is_over_does_not_count_for_the_next() -> None:
    def fault(seconds: float) -> Any:
        return REFUSED if 20 <= seconds % 100 < 70 else None

    assert both(Service(Clock(), fault, lambda _: 480.0), max_outage=75.0).done


@pytest.mark.parametrize("value", [0, -1, float("nan"), "60", True, timedelta(0)])
def test_a_max_outage_that_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="max_outage is"):
        check_outage(value)


def test_times_are_given_in_seconds_or_as_a_timedelta() -> None:
    assert check_outage(None) is None
    assert check_outage(timedelta(minutes=2)) == 120.0
    assert check_interval("timeout", timedelta(hours=1)) == 3600.0


# -- 404s ----------------------------------------------------------------------------------------------


def test_404s_in_the_first_minute_of_an_order_lose_nothing() -> None:
    service = Service(Clock(), between(0, 60, GONE))
    assert both(service).done


def test_a_job_that_was_seen_alive_is_not_expired_by_one_404() -> None:
    said = [PROCESSING, GONE, PROCESSING, GONE, COMPLETED]
    service = Service(Clock(), lambda _: said.pop(0) if said else None)
    assert wait(service).done


@pytest.mark.parametrize("gone_from", [0.0, 30.0])
@pytest.mark.parametrize("poll_interval", [1.0, 7.0, 20.0, 300.0])
def test_a_job_that_is_really_gone_is_named_within_two_minutes(gone_from: float, poll_interval: float) -> None:
    service = Service(Clock(), between(gone_from, 9999, GONE), lambda _: 9999.0)
    assert isinstance(both(service, poll_interval=poll_interval), JobExpiredError)
    first = next(at for at in service.asked if at >= gone_from)
    assert 90.0 <= service.clock.passed - first < 120.0
    if gone_from == 0.0:
        assert service.clock.passed < 120.0


def test_404s_between_other_errors_are_an_outage() -> None:
    def fault(seconds: float) -> Any:
        return GONE if int(seconds) % 80 < 60 else DOWN

    service = Service(Clock(), lambda seconds: fault(seconds) if seconds < MINUTES_10 else None)
    assert both(service).done


def test_it_takes_three_404s_however_rarely_is_asked() -> None:
    watch, error = Watch(POLL_URL, 9999.0), JobExpiredError("gone", status=404)
    watch.failed(error, 0.0)
    assert watch.failed(error, 500.0) == 7.0
    with pytest.raises(JobExpiredError):
        watch.failed(error, 501.0)


def test_a_429_between_404s_says_nothing_about_the_job() -> None:
    watch, error = Watch(POLL_URL, 9999.0), JobExpiredError("gone", status=404)
    watch.failed(error, 0.0)
    watch.failed(error, 40.0)
    watch.failed(RateLimitError("slow down"), 60.0)
    with pytest.raises(JobExpiredError):
        watch.failed(error, 90.0)


def test_a_404_at_the_deadline_that_is_not_believed_yet_is_a_timeout_that_names_it() -> None:
    error = both(Service(Clock(), between(0, 9999, GONE)), timeout=30.0)
    assert isinstance(error, JobTimeoutError)
    assert "HTTP 404" in str(error)


# -- a poke, and a job that was just found -------------------------------------------------------------


def poke(service: Service, watch: Watch) -> Any:
    client = service.client()
    return client.run(flow.poke(client.settings, client.auth, watch, client.clock))


def test_a_poke_is_one_get_in_an_outage_too() -> None:
    service = Service(Clock(), between(0, 10, DOWN), lambda _: 11.0)
    watch = Watch(POLL_URL, service.clock() + 60)
    assert isinstance(poke(service, watch), flow.Pause)
    assert len(service.asked) == 1
    service.clock.sleep(10)
    assert poke(service, watch).seconds == 7.0
    service.clock.sleep(7)
    assert poke(service, watch).done


def test_a_poke_that_sees_a_404_asks_on_until_it_is_clear_what_that_means() -> None:
    service = Service(Clock(), between(0, 60, GONE), lambda _: 9999.0)
    assert isinstance(poke(service, Watch(POLL_URL, service.clock() + 3600)), flow.Pause)
    assert 60 <= service.clock.passed <= 67
    with pytest.raises(JobExpiredError):
        poke(Service(Clock(), between(0, 9999, GONE)), Watch(POLL_URL, 4e9))


def test_a_job_that_was_just_found_may_answer_late_but_not_for_ever() -> None:
    def attach(fault: Any) -> Job:
        client = Service(Clock(), fault).client()
        return client.run(flow.attach(client.settings, client.auth, POLL_URL, clock=client.clock))

    assert attach(between(0, 60, GONE)).status == "COMPLETED"
    assert attach(between(0, 10, DOWN)).status == "PROCESSING"
    with pytest.raises(JobExpiredError):
        attach(between(0, 9999, GONE))
    with pytest.raises(JobTimeoutError, match="HTTP 502"):
        attach(between(0, 9999, DOWN))
    with pytest.raises(RateLimitError):
        attach(between(0, 9999, answer({}, 429)))


# -- clocks --------------------------------------------------------------------------------------------


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


def test_a_doubtful_end_is_believed_when_it_stays() -> None:
    """A proxy's answer about another job passes; what the service says again and again is true."""
    doubtful = Job("abc", POLL_URL, "FAILED", doubtful=True)
    watch = Watch(POLL_URL, deadline=1000.0)
    assert not watch.answered(doubtful, 0.0)
    assert watch.doubted
    assert not watch.answered(Job("abc", POLL_URL, "PROCESSING"), 7.0)
    assert not watch.doubted
    assert [watch.answered(doubtful, at) for at in (10.0, 40.0, 99.0, 100.0)] == [False, False, False, True]
    last = Watch(POLL_URL, deadline=5.0)
    with pytest.raises(JobTimeoutError, match="may be of another job"):
        last.answered(doubtful, 6.0)
