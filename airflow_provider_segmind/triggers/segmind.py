"""Wait for one job in a triggerer, which holds no worker."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_segmind.api.answers import id_in
from airflow_provider_segmind.api.clocks import UNKNOWN, known_offset
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.results import result_of
from airflow_provider_segmind.gallery.recording import ended, is_shown
from airflow_provider_segmind.links import result_picture
from airflow_provider_segmind.waiting.ending import Ending, conclude, read_ending
from airflow_provider_segmind.waiting.events import event_of_error, event_of_job
from airflow_provider_segmind.waiting.shared import SharedConnection, shared_connection
from airflow_provider_segmind.waiting.warming import warm_up

BACKSTOP = -UNKNOWN
"""
Seconds after the trigger's own deadline at which Airflow ends a wait whose triggerer does not.

By Airflow's own clock, so it is also what ends a wait in time whose deadline was set by a clock that nobody knows.
"""


class PixelFlowTrigger(BaseTrigger):
    """
    Waits until a job is done, and ends in one event whatever happens.

    It only ever asks: triggers are restarted and can run twice, so nothing is ordered here.

    :param poll_url: the URL that the submit returned.
    :param segmind_conn_id: the connection.
    :param deadline: seconds since the epoch, so that a restart of the triggerer does not prolong the wait.
    :param poll_interval: seconds between polls.
    :param max_outage: seconds that an outage may last before its last error ends the wait; ``None`` for any number.
    :param request_id: the job's id, for messages.
    :param workflow: which workflow it is, to learn how long its jobs take.
    :param submitted_at: seconds since the epoch at which it was ordered, if known.
    :param output_key: ``keyname`` of the output that the result's ``image_url`` names; otherwise the first image.
    :param needs_image: whether a job without an image is an error.
    :param ending: how the task may end here, see :class:`~airflow_provider_segmind.waiting.ending.Ending`; without it,
        the task resumes on a worker.
    :param clock_offset: seconds that the clock which set the deadline is ahead of Segmind's, if known.
    :param later: what a newer version of this package may have written, or an older one; ignored.
    """

    def __init__(
        self,
        poll_url: str,
        segmind_conn_id: str,
        deadline: float,
        poll_interval: float = 7.0,
        max_outage: float | None = None,
        request_id: str | None = None,
        workflow: str | None = None,
        submitted_at: float | None = None,
        output_key: str | None = None,
        needs_image: bool = False,
        ending: Mapping[str, Any] | None = None,
        clock_offset: float | None = None,
        **later: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poll_url = poll_url
        self.segmind_conn_id = segmind_conn_id
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.max_outage = max_outage
        self.request_id = request_id
        self.workflow = workflow
        self.submitted_at = submitted_at
        self.output_key = output_key
        self.needs_image = needs_image
        self.ending = read_ending(ending)
        self.clock_offset = clock_offset

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another triggerer needs to wait for the same job."""
        return (
            "airflow_provider_segmind.triggers.segmind.PixelFlowTrigger",
            {
                "poll_url": self.poll_url,
                "segmind_conn_id": self.segmind_conn_id,
                "deadline": self.deadline,
                "poll_interval": self.poll_interval,
                "max_outage": self.max_outage,
                "request_id": self.request_id,
                "workflow": self.workflow,
                "submitted_at": self.submitted_at,
                "output_key": self.output_key,
                "needs_image": self.needs_image,
                "ending": self.ending.to_json(),
                "clock_offset": self.clock_offset,
            },
        )

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """
        Leave all as it is: a worker has rendered what the DAG's author wrote, and what came of that is data.

        Airflow 3.3 renders a trigger whose task has ``start_from_trigger``, also where a worker has deferred it.
        """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield one event: the task's end where nothing is lost by that, else what it resumes with."""
        warm_up(self.ending, self.task_instance)
        outcome = await self._outcome()
        event = await self._end(outcome)
        if event is None:
            event = TriggerEvent(event_of_job(outcome) if isinstance(outcome, Job) else event_of_error(outcome))
        yield event

    async def on_kill(self) -> None:
        """Say that a person ended the wait but not the job, which cannot be cancelled (Airflow 3.3 calls this)."""
        self.log.warning(
            "A person ended this wait. Segmind cannot cancel: request %s goes on and is billed. Its result can be "
            "asked for at %s",
            self._known_as,
            self.poll_url,
        )

    @property
    def _known_as(self) -> str:
        return self.request_id or id_in(self.poll_url)

    async def _asked(self, connection: SharedConnection) -> Job | SegmindError:
        try:
            job = await connection.poller.wait(
                self.poll_url,
                deadline=self.deadline,
                poll_interval=self.poll_interval,
                max_outage=self.max_outage,
                workflow=self.workflow or "",
                submitted_at=self.submitted_at,
                clock_offset=known_offset(self.clock_offset),
            )
            # An answer about a job does not say when it was ordered.
            return replace(job, submitted_at=self.submitted_at)
        except SegmindError as error:
            error.request_id = error.request_id or self._known_as
            return error

    async def _outcome(self) -> Job | SegmindError:
        try:
            async with shared_connection(self.segmind_conn_id) as connection:
                outcome = await self._asked(connection)
                connection.tally.ended(self._result(outcome), self.workflow, self.submitted_at)
                return outcome
        except Exception as error:
            # An exception would fail the task without its own words, and without a word about the paid job.
            self.log.exception("Waiting for %s broke", self.poll_url)
            broken = f"Waiting for {self.poll_url} broke: {type(error).__name__}."
            return SegmindError(broken, request_id=self._known_as)

    async def _end(self, outcome: Job | SegmindError) -> TriggerEvent | None:
        """Return the event that ends the task here, or ``None`` if it has to resume on a worker."""
        result = self._result(outcome)
        record = ended(result) if is_shown(self.workflow, self.needs_image) else None
        # A task that needs an image has the link to it; an error has none.
        links = result_picture(result) if self.needs_image else None
        event = await conclude(self.ending, self.task_instance, result, self.log, record, links)
        if event is not None and isinstance(result, SegmindError):
            self.log.error("%s: %s", type(result).__name__, result)
        elif event is not None and not isinstance(result, SegmindError):
            self.log.info("Request %s is %s: %s", self._known_as, result["status"], result["image_url"])
        return event

    def _result(self, outcome: Job | SegmindError) -> dict[str, Any] | SegmindError:
        if isinstance(outcome, SegmindError):
            return outcome
        try:
            return result_of(outcome, output_key=self.output_key, needs_image=self.needs_image)
        except SegmindError as error:
            return error


def deferral(
    job: Job,
    segmind_conn_id: str,
    *,
    timeout: float,
    poll_interval: float,
    max_outage: float | None = None,
    clock_offset: float | None = None,
    output_key: str | None = None,
    needs_image: bool = False,
    ending: Ending | None = None,
) -> dict[str, Any]:
    """
    Return the arguments with which a task defers to wait for a job, and is resumed in ``execute_complete``.

    :param job: the job, with whatever is known of it besides its poll URL.
    :param timeout: seconds to wait at most, from now.
    :param clock_offset: seconds that this machine's clock is ahead of Segmind's, if known.
    :param ending: how the task may end in the triggerer; without it, it resumes.
    """
    return {
        "trigger": PixelFlowTrigger(
            poll_url=job.poll_url,
            segmind_conn_id=segmind_conn_id,
            deadline=time.time() + timeout,
            poll_interval=poll_interval,
            max_outage=max_outage,
            request_id=job.request_id or None,
            workflow=job.workflow,
            submitted_at=job.submitted_at,
            output_key=output_key,
            needs_image=needs_image,
            ending=ending.to_json() if ending else None,
            clock_offset=clock_offset,
        ),
        "method_name": "execute_complete",
        "timeout": timedelta(seconds=timeout + BACKSTOP),
    }
