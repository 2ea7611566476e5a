"""The account's state: balance, jobs, bills, rate limit, uploads. Pure: injected clock, no socket."""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_segmind.emulator.faults import Failure, FaultQueue
from airflow_provider_segmind.emulator.like import Like
from airflow_provider_segmind.emulator.settings import Settings

BODY_SWAP_WORKFLOW = "678b67a76426baad7e539337"
"""Id of the workflow whose inputs are known, without its version."""
BODY_SWAP_INPUTS = ("reference_character_image", "character_image", "select_character")
MAX_ASSET_BYTES = 256 * 1024 * 1024
_QUEUED_SHARE = 0.2

Status = Literal["QUEUED", "PROCESSING", "COMPLETED", "FAILED"]


@dataclass(frozen=True)
class Charge:
    """One bill: one accepted submit."""

    request_id: str
    at: float  # seconds since the epoch
    amount: float  # US dollars
    workflow: str
    inputs: Mapping[str, Any]  # as sent
    defaulted: tuple[str, ...] = ()  # inputs that were not sent, so that the job used the vendor's demo values
    ignored: tuple[str, ...] = ()  # inputs that were sent but that the workflow does not know


@dataclass(frozen=True)
class JobView:
    """A job at one moment; times are in seconds since the epoch."""

    request_id: str
    workflow: str
    inputs: Mapping[str, Any]  # as sent
    status: Status
    polls: int  # answered with a status so far
    created: float
    ended: float | None
    expired: bool  # polls now answer 404
    picture: str  # name of its output file


@dataclass(slots=True)
class Job:
    """One accepted submit; its status follows from the clock and the polls, so a waiting job needs no timer."""

    request_id: str
    workflow: str
    inputs: dict[str, Any]
    created: float
    seconds: float
    polls_wanted: int
    picture: str
    cost: float = 0.0
    polls: int = 0
    last_pending: float = 0.0
    failure: Failure | None = None
    failed_at: float | None = None
    is_lost: bool = False
    is_announced: bool = False

    def progress(self, now: float) -> float:
        """Return the progress; 1 or more means ended."""
        if self.failed_at is not None:
            return 1.0
        by_time = (now - self.created) / self.seconds if self.seconds > 0 else 1.0
        by_polls = self.polls / self.polls_wanted if self.polls_wanted > 0 else 1.0
        return min(by_time, by_polls)

    def status(self, now: float) -> Status:
        """Return the status."""
        progress = self.progress(now)
        if progress < _QUEUED_SHARE:
            return "QUEUED"
        if progress < 1:
            return "PROCESSING"
        return "FAILED" if self.failure else "COMPLETED"

    def ended(self, now: float) -> float | None:
        """Return when the job ended; None while it runs."""
        if self.progress(now) < 1:
            return None
        if self.failed_at is not None:
            return self.failed_at
        return max(self.created + self.seconds, self.last_pending)


@dataclass(frozen=True, slots=True)
class Asset:
    """An uploaded file."""

    data: bytes
    media_type: str


class State:
    """One Segmind account and its history; ``announce`` is called with ``submitted`` or ``finished`` and the job."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float],
        announce: Callable[[str, JobView], None] | None = None,
        like: Like | None = None,
    ) -> None:
        self.clock = clock
        self.like = like or Like()
        self._initial = settings
        self._announce = announce
        self.reset()

    def reset(self) -> None:
        """Forget everything; restore the initial settings and balance."""
        self.settings = self._initial
        self.faults = FaultQueue()
        self.window = RateWindow()
        self.jobs: dict[str, Job] = {}
        self.charges: list[Charge] = []
        self.pictures: dict[str, Job] = {}
        self.assets: OrderedDict[str, Asset] = OrderedDict()
        self._asset_bytes = 0
        # Separate, so that a run's ids do not depend on its jobs' durations.
        self._ids = random.Random(f"ids-{self.settings.seed}")  # noqa: S311 - repeatable on purpose
        self._durations = random.Random(f"durations-{self.settings.seed}")  # noqa: S311 - repeatable on purpose

    def can_pay(self) -> bool:
        """Return whether the balance covers one more job."""
        # A balance counted down in floats must still pay for its last job.
        return self.settings.credits + self.settings.free_credits >= self.settings.price - 1e-9

    def accept(self, workflow: str, inputs: dict[str, Any]) -> Job:
        """Accept a job and bill it."""
        now, seconds = self.clock(), self.settings.job_seconds
        job = Job(
            request_id=self.new_id(),
            workflow=workflow,
            inputs=inputs,
            created=now,
            seconds=self._durations.uniform(*seconds) if isinstance(seconds, tuple) else seconds,
            polls_wanted=self.settings.job_polls,
            picture=f"{self.new_id()}.png",
            cost=self.settings.price,
        )
        self.jobs[job.request_id] = job
        self.pictures[job.picture] = job
        self._bill(job)
        self.announce("submitted", job)
        return job

    def poll(self, request_id: str) -> tuple[Job, Status] | None:
        """Count a poll, which may let the job end; return the job and its status, or None if unknown."""
        job = self.jobs.get(request_id)
        now = self.clock()
        if job is None or self.is_expired(job, now) or now - job.created < self.like.unseen:
            return None
        status = job.status(now)
        job.polls += 1
        if status in ("QUEUED", "PROCESSING"):
            job.last_pending = now
        elif not job.is_announced:
            job.is_announced = True
            self.announce("finished", job)
        return job, status

    def finish_jobs(self) -> None:
        """Let all jobs end now."""
        now = self.clock()
        for job in self.jobs.values():
            job.seconds, job.polls_wanted = min(job.seconds, now - job.created), 0

    def is_expired(self, job: Job, now: float) -> bool:
        """Return whether the record of a job is gone."""
        if job.is_lost or self.settings.record_seconds is None:
            return job.is_lost
        ended = job.ended(now)
        return ended is not None and now - ended >= self.settings.record_seconds

    def fail_now(self, request_id: str, failure: Failure) -> None:
        """Make a job end FAILED at once; an unknown id is ignored."""
        if job := self.jobs.get(request_id):
            job.failure = failure
            job.failed_at = self.clock()

    def lose(self, request_id: str) -> None:
        """Forget the record of a job for good; an unknown id is ignored."""
        if job := self.jobs.get(request_id):
            job.is_lost = True

    def store(self, asset: Asset, suffix: str) -> str:
        """Store an uploaded file and return its name; ``suffix`` starts with a dot."""
        name = f"{self.new_id()}{suffix}"
        self.assets[name] = asset
        self._asset_bytes += len(asset.data)
        while self._asset_bytes > MAX_ASSET_BYTES and len(self.assets) > 1:
            _, oldest = self.assets.popitem(last=False)
            self._asset_bytes -= len(oldest.data)
        return name

    def is_listed(self, job: Job) -> bool:
        """Return whether the history shows a job yet."""
        now, after = self.clock(), self.like.listed
        ended = job.ended(now)
        return after is None or (ended is not None and now - ended >= after)

    def has_picture(self, job: Job) -> bool:
        """Return whether a job's picture can be fetched."""
        now, life = self.clock(), self.like.picture_seconds
        ended = job.ended(now)
        return job.status(now) == "COMPLETED" and (life is None or ended is None or now - ended < life)

    def view(self, job: Job) -> JobView:
        """Return a job in its current state."""
        now = self.clock()
        return JobView(
            request_id=job.request_id,
            workflow=job.workflow,
            inputs=job.inputs,
            status=job.status(now),
            polls=job.polls,
            created=job.created,
            ended=job.ended(now),
            expired=self.is_expired(job, now),
            picture=job.picture,
        )

    def views(self) -> Iterator[JobView]:
        """Return all jobs in their current state, oldest first."""
        return (self.view(job) for job in self.jobs.values())

    def new_id(self) -> str:
        """Return 32 hex digits, the same in each run with the same seed."""
        return f"{self._ids.getrandbits(128):032x}"

    def announce(self, event: str, job: Job) -> None:
        """Call the listener, if there is one."""
        if self._announce:
            self._announce(event, self.view(job))

    def _bill(self, job: Job) -> None:
        settings = self.settings
        from_free = min(settings.free_credits, settings.price)
        self.settings = settings.changed(
            free_credits=round(settings.free_credits - from_free, 6),
            credits=round(settings.credits - (settings.price - from_free), 6),
        )
        known = BODY_SWAP_INPUTS if job.workflow.startswith(BODY_SWAP_WORKFLOW) else tuple(job.inputs)
        self.charges.append(
            Charge(
                request_id=job.request_id,
                at=job.created,
                amount=settings.price,
                workflow=job.workflow,
                inputs=job.inputs,
                defaulted=tuple(name for name in known if name not in job.inputs),
                ignored=tuple(name for name in job.inputs if name not in known),
            )
        )


class RateWindow:
    """A sliding window of requests."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def take(self, now: float, limit: int | None, seconds: float) -> float:
        """Count a request and return 0; over the limit, count nothing and return the seconds until one is allowed."""
        if limit is None:
            return 0.0
        times = self._times
        while times and times[0] <= now - seconds:
            times.popleft()
        if len(times) < limit:
            times.append(now)
            return 0.0
        # If the limit was lowered at run time, several requests must leave the window before one may enter.
        return max(0.001, times[len(times) - limit] + seconds - now) if limit > 0 else seconds
