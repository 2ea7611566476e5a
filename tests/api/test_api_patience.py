"""How long a job is waited for: in time, not in errors. Without a socket, and in virtual time."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.errors import (
    InvalidRequestError,
    JobExpiredError,
    JobTimeoutError,
    RateLimitError,
    SegmindError,
    ServiceError,
)
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.parameters import check_interval, check_outage
from airflow_provider_segmind.api.patience import Said, Watch
from tests.api.drive import COMPLETED, POLL_URL, PROCESSING, answer, settings
from tests.api.virtual import DOWN, FOREIGN, GONE, REFUSED, Clock, Service, Triggerer, between

MINUTES_10 = 600.0


def wait(service: Service, *, timeout: float = 3600.0, **options: Any) -> Job:
    """Wait as a worker does."""
    client = service.client()
    deadline = client.clock() + timeout
    return client.run(
        flow.wait(client.settings, client.auth, POLL_URL, deadline=deadline, clock=client.clock, **options)
    )


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


@pytest.mark.parametrize("said", [(GONE,), (FOREIGN,), (GONE, FOREIGN)], ids=["404", "doubtful", "both in turn"])
@pytest.mark.parametrize("interval", [60.0, 3600.0])
def test_a_poke_holds_its_worker_for_minutes_at_most(said: tuple[Any, ...], interval: float) -> None:
    now, asked = 0.0, 0
    steps = flow.poke(settings(), flow.Auth(), Watch(POLL_URL, 86_400.0, interval=interval), lambda: now)
    got: Any = None
    try:
        while now < 86_400:
            step = steps.send(got)
            if isinstance(step, flow.Send):
                got, asked = said[asked % len(said)], asked + 1
            else:
                now, got = now + step.seconds, None
    except (StopIteration, SegmindError):
        pass
    assert now < 300
