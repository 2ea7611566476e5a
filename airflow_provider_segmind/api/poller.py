"""
Wait for many jobs at once: one session, one schedule and one request budget per connection and event loop.

One clock per job would exceed the account's limit, and each job would get its own 429.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypedDict, Unpack

from airflow_provider_segmind.api import flow, protocol
from airflow_provider_segmind.api.aclient import MAX_CONNECTIONS, AsyncClient
from airflow_provider_segmind.api.errors import AuthenticationError, RateLimitError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.parameters import check_interval
from airflow_provider_segmind.api.patience import WAITED_OUT, Pace, Said, Watch
from airflow_provider_segmind.api.schedule import Budget, DueTime, Schedule
from airflow_provider_segmind.api.wire import Traffic

MOMENT = 0.1
"""Shortest pause in seconds between two looks at the schedule, unless all connections were in use."""
JOINED = 30.0
"""
Largest seconds between an order and the start of its wait for which the schedule learns the job's duration.

A later wait is no measure: the sensor was late, the triggerer restarted, or another machine's clock set the time.
"""


class Clients(Protocol):
    """Returns the shared client; a client whose key was ``refused`` is not returned again."""

    def __call__(self, *, refused: AsyncClient | None = None) -> Awaitable[AsyncClient]:
        """Return the client."""


class How(TypedDict, total=False):
    """What :meth:`Poller.begin` takes beside the poll URL and the deadline."""

    poll_interval: float
    max_outage: float | None
    workflow: str
    submitted_at: float | None
    clock_offset: float | None
    said: Said | None


class Wait(asyncio.Future[Job]):
    """The wait for one job: a future of the job, with what the poller needs to know."""

    # A batch has one for each job, for up to a hundred thousand jobs.
    __slots__ = ("context", "offset", "started_at", "teaches", "watch", "workflow")

    def __init__(self, watch: Watch, workflow: str, started_at: float, *, teaches: bool, offset: float) -> None:
        super().__init__()
        self.watch = watch
        self.workflow = workflow
        self.started_at = started_at
        self.offset = offset
        self.teaches = teaches
        # A job's messages must reach the log of the task that waits for it.
        self.context = contextvars.copy_context()


class Poller:
    """Polls all jobs of one connection in one event loop."""

    def __init__(self, clients: Clients, *, clock: Callable[[], float] = time.time, pace: Pace | None = None) -> None:
        self.traffic = Traffic()
        self._clients = clients
        self._clock = clock
        self._pace = pace or Pace()
        self._offset = 0.0
        self._schedule: Schedule[Wait | asyncio.Future[None]] = Schedule()
        self._requests_per_minute: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._sent_at = 0.0
        self._asking: set[asyncio.Task[None]] = set()

    async def wait(self, poll_url: str, *, deadline: float, **how: Unpack[How]) -> Job:
        """
        Wait for a job and poll it once more at the deadline before giving up.

        :param how: see :meth:`begin`.
        :return: the job, ``COMPLETED`` or ``FAILED``.
        :raises JobTimeoutError: if the job is not done at the deadline.
        :raises SegmindError: if the job can no longer be polled.
        """
        wait = await self.begin(poll_url, deadline=deadline, **how)
        try:
            return await wait
        finally:
            self.leave(wait)

    async def begin(
        self,
        poll_url: str,
        *,
        deadline: float,
        poll_interval: float = 7.0,
        max_outage: float | None = None,
        workflow: str = "",
        submitted_at: float | None = None,
        clock_offset: float | None = None,
        said: Said | None = None,
    ) -> Wait:
        """
        Begin to wait for a job, as :meth:`wait` does, and return the future of it.

        :param deadline: seconds since the epoch.
        :param poll_interval: longest step in seconds; the tail of an unusually long job may have longer steps.
        :param max_outage: seconds of an outage before its last error is raised; ``None``: wait until the deadline.
        :param submitted_at: order time in seconds since the epoch, if known. Another machine's clock may have set it,
            so it can only make the first poll earlier, never later.
        :param clock_offset: seconds by which the clock that set the deadline is ahead of the service's, see
            ``known_offset`` in :mod:`~airflow_provider_segmind.api.clocks`; ``None`` if it is this machine's clock.
        :param said: error log shared by all jobs of one task.
        :raises SegmindError: if the job cannot be polled.
        """
        client = await self._clients()
        poll_url = protocol.check_poll_url(client.settings, poll_url)
        check_interval("poll_interval", poll_interval)
        self._keep_pace(client.settings.requests_per_minute)
        schedule, now = self._schedule, self._clock()
        age = max(0.0, now - submitted_at) if isinstance(submitted_at, (int, float)) else 0.0
        wait = Wait(
            Watch(poll_url, deadline, interval=poll_interval, max_outage=max_outage, pace=self._pace, said=said),
            workflow,
            now - age,
            teaches=age < JOINED,
            offset=math.inf if clock_offset is None else clock_offset,
        )
        # A job that was ordered long ago may already be done.
        self._put(wait, schedule.first(workflow, poll_interval, wait.started_at))
        return wait

    def leave(self, wait: Wait) -> None:
        """Wait no longer for a job."""
        self._drop(wait)
        wait.cancel()

    async def turn(self) -> None:
        """Wait until the budget allows one more request, behind the jobs that have been due longer."""
        self._keep_pace((await self._clients()).settings.requests_per_minute)
        now, budget = self._clock(), self._schedule.budget
        if budget.rate(now) is None and budget.ready_at(now) <= now:
            budget.spend(now)
            return
        turn = asyncio.get_running_loop().create_future()
        self._schedule.put(turn, DueTime(now, now))
        self._set_timer()
        try:
            await turn
        finally:
            self._drop(turn)

    def limited(self, sent_at: float, retry_after: float | None) -> None:
        """
        Apply a 429 that answered a poll, or a request that took its :meth:`turn`.

        :param sent_at: seconds since the epoch at which the request was sent.
        :param retry_after: seconds that the service asks to wait, if it says so.
        """
        self.traffic.rate_limited += 1
        self._schedule.budget.limited(self._clock(), sent_at, retry_after)

    async def close(self) -> None:
        """Cancel all polls and all waits."""
        self._cancel_timer()
        for key in self._schedule.clear():
            key.cancel()
        tasks = list(self._asking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _keep_pace(self, requests_per_minute: float | None) -> None:
        if requests_per_minute != self._requests_per_minute:
            self._requests_per_minute = requests_per_minute
            self._schedule.budget = Budget(requests_per_minute)

    def _put(self, waiting: Wait, due: DueTime) -> None:
        due = due.by(waiting.watch.deadline + self._ahead(waiting))
        self._schedule.put(waiting, due)
        if self._timer is None or self._timer_at > min(due.at, due.soonest):
            self._set_timer()

    def _ahead(self, waiting: Wait) -> float:
        """
        Return the seconds by which this machine's clock is ahead of the clock that set a deadline.

        Never below 0: a deadline is only postponed, never advanced, since Airflow's own timeout ends a wait that takes
        too long.
        """
        return max(0.0, self._offset - waiting.offset)

    def _drop(self, key: Wait | asyncio.Future[None]) -> None:
        self._schedule.drop(key)
        if not len(self._schedule):
            self._cancel_timer()

    def _set_timer(self) -> None:
        """Set the timer for the next request; without a free connection, the next answer triggers the look."""
        now = self._clock()
        at = self._schedule.next_at(now) if len(self._asking) < MAX_CONNECTIONS else None
        if at is None:
            return
        if self._schedule.budget.rate(now) is None:
            # Jobs due within a moment go out together: with thousands of jobs, waking the loop for each poll and answer
            # would cost more than the poll. A limit already spaces polls.
            at = max(at, self._sent_at + MOMENT)
        if self._timer is not None and self._timer_at <= at:
            return
        self._cancel_timer()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at - now), self._send)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self) -> None:
        """Poll all due jobs, as far as connections and budget allow."""
        self._cancel_timer()
        loop = asyncio.get_running_loop()
        while len(self._asking) < MAX_CONNECTIONS and (waiting := self._taken()) is not None:
            task = loop.create_task(self._ask(waiting))
            self._asking.add(task)
            task.add_done_callback(self._asked)
        self._set_timer()

    def _taken(self) -> Wait | None:
        """Take out the job to poll now, if any; requests before it that wait for their turn go out."""
        self._sent_at = now = self._clock()
        while (taken := self._schedule.take(now)) is not None and not isinstance(taken, Wait):
            if not taken.done():  # the waiting task may just have stopped
                taken.set_result(None)
        return taken

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        self._set_timer()

    async def _ask(self, waiting: Wait | None) -> None:
        """
        Poll one job and act on the answer; pass any error to the task that waits.

        Continues with the next job while all connections are in use: a task for each poll would cost a tenth more.
        """
        while waiting is not None:
            try:
                again = await self._look(waiting)
            except asyncio.CancelledError:
                waiting.cancel()
                raise
            except Exception as error:  # noqa: BLE001 - it is raised where the job is waited for
                if not waiting.done():
                    waiting.set_exception(error)
            else:
                # The waiting task may have stopped while the answer was on its way.
                if again is not None and not waiting.done():
                    self._put(waiting, again)
            waiting = self._taken() if len(self._asking) >= MAX_CONNECTIONS else None

    async def _look(self, waiting: Wait) -> DueTime | None:
        """Poll a job, and return when to poll it again; ``None`` if it is done."""
        schedule = self._schedule
        watch, asked_at = waiting.watch, self._clock()
        try:
            job = await self._ask_once(watch.poll_url)
        except WAITED_OUT as error:
            if isinstance(error, RateLimitError):
                self.limited(asked_at, error.retry_after)
            watch.ahead = self._ahead(waiting)
            pause = waiting.context.run(watch.failed, error, asked_at)
            if isinstance(error, RateLimitError):
                return DueTime(self._clock())  # the budget knows when; the job that has waited longest goes first
            waiting.teaches = False  # it may end unseen during the outage
            return DueTime(self._clock() + pause)
        now = self._clock()
        if job is None:
            return DueTime(now)
        age = now - waiting.started_at
        watch.ahead = self._ahead(waiting)
        if waiting.context.run(watch.answered, job, asked_at):
            if waiting.teaches:
                schedule.timing(waiting.workflow).learn(age)
            if not waiting.done():
                waiting.set_result(job)
            return None
        return schedule.again(waiting.workflow, age, watch.interval, now)

    async def _ask_once(self, poll_url: str) -> Job | None:
        """Return the job; ``None`` if the key was refused and the connection has a new key by now."""
        client = await self._clients()
        self.traffic.polls += 1
        try:
            return await client.run(flow.ask(client.settings, client.auth, poll_url))
        except AuthenticationError:
            fresh = await self._clients(refused=client)
            if fresh.settings == client.settings:
                raise
            return None
        finally:
            self._offset = self._offset if client.clock_offset is None else client.clock_offset
