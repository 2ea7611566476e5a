"""Sensor for a job of any Segmind workflow (a PixelFlow)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator, BaseSensorOperator, Context, PokeReturnValue, XComArg
from airflow.triggers.base import StartTriggerArgs

from airflow_provider_segmind.api.answers import MAX_URL, id_in, line
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.patience import WAITED_OUT, Watch, check_interval, check_outage, timed_out
from airflow_provider_segmind.api.results import result_of
from airflow_provider_segmind.compat import (
    AIRFLOW_V_3_3_PLUS,
    TaskDeferralError,
    TaskDeferralTimeout,
    XComNotFound,
    default_args_of,
)
from airflow_provider_segmind.connection import waits_deferred
from airflow_provider_segmind.failures import failing, sensor_error, skipping
from airflow_provider_segmind.gallery.recording import is_shown, show, show_end, waiting
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.swaps import keep, lost, recalled
from airflow_provider_segmind.observability.lineage import LineageMixin
from airflow_provider_segmind.observability.metrics import emit_end
from airflow_provider_segmind.rendering import AuthorsTemplatesMixin
from airflow_provider_segmind.triggers.segmind import deferral, note_wait
from airflow_provider_segmind.triggers.starting import POLL_INTERVAL, TIMEOUT, may_start, sensor_start
from airflow_provider_segmind.waiting.ending import check_mode, settings_of, trigger_exit_of
from airflow_provider_segmind.waiting.events import is_start, read_event
from airflow_provider_segmind.waiting.origin import known_job, nothing_to_wait_for, photographs, task_id_of
from airflow_provider_segmind.waiting.pokes import Pokes

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import OperatorPartial


class PixelFlowSensor(LineageMixin, AuthorsTemplatesMixin, BaseSensorOperator):
    """
    Wait until a Segmind job is done and return its result.

    Deferrable by default: a triggerer waits and the task holds no worker slot. ``deferrable=False`` gives the poke and
    reschedule modes, with the same results, errors and ``soft_fail``.

    :param poll_url: URL of the job as the submit task returned it (``submit.output["poll_url"]``), or the whole output
        of the submit task (``submit.output``). After a mapped submit task use ``.expand(poll_url=submit.output)``,
        because Airflow cannot map over an XCom with its own key.
    :param segmind_conn_id: id of the Airflow connection.
    :param output_key: ``keyname`` of the output to return as ``image_url``. Default: the first image.
    :param deferrable: whether to wait in a triggerer. Default: the option ``[segmind] default_deferrable``, itself
        ``True`` by default.
    :param poke_interval: longest pause in seconds between polls around the time at which such jobs usually end. Long
        before it and long after it the triggerer asks less often. Segmind documents 7.
    :param timeout: seconds to wait at most, in wall-clock time.
    :param max_outage: seconds that a Segmind outage may last before the sensor raises the last error. A retry then
        waits for the same job. Default: wait until ``timeout``. Ignored in reschedule mode, where each poke is a new
        process that does not know of an earlier outage.
    :param end_in_trigger: ``auto`` ends the task in the triggerer, without another start on a worker, if nothing is
        lost (no callbacks, outlets, listeners and the like). ``True`` always does so, ``False`` never.
    :param start_from_trigger: whether the task starts in the triggerer and needs no worker at all (Airflow 3.3 and
        later). ``poll_url`` must then be the output of a submit task, mapped or not, or a string. If another setting
        would be lost or change its meaning, the task starts on a worker and the log says why.
    :param start_trigger_args: do not set; the sensor builds it from its other parameters.
    :return: ``request_id``, ``poll_url``, ``status``, ``outputs`` and ``image_url``.
    :raises AirflowSensorTimeout: the job is not done in time. It may still finish, and is billed.
    :raises AirflowFailException: waiting again cannot help: the job FAILED or expired, or the key, the connection or
        ``poll_url`` is wrong.
    :raises SegmindError: the service stayed unreachable. A retry waits for the same job.
    """

    template_fields: Sequence[str] = ("poll_url", "output_key", "segmind_conn_id")
    ui_color = "#dcecf2"
    needs_image = False

    def __init__(
        self,
        *,
        poll_url: str | Mapping[str, Any] | XComArg,
        segmind_conn_id: str = SegmindHook.default_conn_name,
        output_key: str | None = None,
        deferrable: bool | None = None,
        poke_interval: timedelta | float = POLL_INTERVAL,
        timeout: timedelta | float = TIMEOUT,
        max_outage: timedelta | float | None = None,
        end_in_trigger: str | bool = "auto",
        start_from_trigger: bool = False,
        start_trigger_args: StartTriggerArgs | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            poke_interval=check_interval("poke_interval", poke_interval),
            timeout=check_interval("timeout", timeout),
            **kwargs,
        )
        self.poll_url = poll_url
        self._before = task_id_of(poll_url)
        self._known: Mapping[str, Any] = {}
        self.swap_result: Mapping[str, Any] = {}
        self._answered = False
        self._photographs: list[str] = []
        self.segmind_conn_id = segmind_conn_id
        self.output_key = output_key
        self.deferrable = waits_deferred(deferrable)
        self.end_in_trigger = check_mode(end_in_trigger)
        self.max_outage = check_outage(max_outage)
        self._deadline = 0.0
        self._watch: Watch | None = None
        self._pause = 0.0
        self._pokes: Pokes | None = None
        self._clock_offset: float | None = None
        if start_from_trigger and _may_defer(deferrable):
            self._start_in_triggerer(start_trigger_args)

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Map the sensor as Airflow does, and build the arguments for a start in the triggerer."""
        if kwargs.get("start_from_trigger"):
            # Airflow applies default_args to a sensor's own parameters only on a worker, and this task may never see
            # one.
            defaults = default_args_of(kwargs)
            kwargs = {**{name: defaults[name] for name in _OF_DEFAULT_ARGS if name in defaults}, **kwargs}
            kwargs["start_from_trigger"] = _may_defer(kwargs.get("deferrable"))
        made: OperatorPartial = super().partial(**kwargs)
        if made.kwargs.get("start_from_trigger"):
            starts = may_start(made.kwargs.get, made.kwargs["dag"], made.params)
            made.kwargs["start_from_trigger"] = AIRFLOW_V_3_3_PLUS and starts
            if starts:
                settings = made.kwargs.get
                how = sensor_start(settings, None, mapped=True, needs_image=cls.needs_image)
                made.kwargs["start_trigger_args"] = how
        return made

    def _start_in_triggerer(self, made: StartTriggerArgs | None) -> None:
        # mapped=True: only a complete DAG shows whether another task is mapped over this one.
        read = settings_of(self, mapped=True)
        grouped = self.get_closest_mapped_task_group() is not None
        starts = may_start(read, self.get_dag(), self.params, grouped=grouped)
        self.start_from_trigger = AIRFLOW_V_3_3_PLUS and starts
        if starts:
            how = made or sensor_start(read, self.poll_url, mapped=False, needs_image=self.needs_image)
            self.start_trigger_args = how

    def execute(self, context: Context) -> Any:
        """Wait in a triggerer or on this worker."""
        with skipping(self):
            self._check_named(context)
        self._learn(context)
        if self.deferrable:
            with skipping(self):
                result = self._first_look(context)
                if result is None:
                    self._defer(context)
                return result
        start = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
        self._deadline, self._watch = (start.timestamp() if start else time.time()) + self.timeout, None
        self._pokes = Pokes(self.segmind_conn_id, self.log, found=start is not None)
        with failing(self):
            return super().execute(context)

    def render_template(self, content: Any, *args: Any, **kwargs: Any) -> Any:
        """Render a value. If the XCom for ``poll_url`` is missing, return ``None``; ``execute`` reports it."""
        try:
            return super().render_template(content, *args, **kwargs)
        except XComNotFound:
            if content is self.poll_url:
                return None
            raise

    def _learn(self, context: Context) -> None:
        """Load what the submit task left about the job besides its URL."""
        self._known = known_job(self, self.poll_url, self._before, context)
        self._photographs = photographs(self, self._url, self._before, context)

    def _check_named(self, context: Context) -> None:
        """Raise an error that explains why the upstream task left no job."""
        error = nothing_to_wait_for(self, self._before, context) if self._url in (None, "None") else None
        if error is not None:
            raise error

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask for the job with one GET, or a few if the answer is a 404. During an outage, later pokes try again."""
        is_first = self._watch is None
        if self._watch is None:
            note_wait(id_in(str(self._url)), self._deadline - time.time(), "on this worker")
            self._watch = Watch(self._url, self._deadline, interval=self.poke_interval, max_outage=self.max_outage)
            known = self._recalled()
            if known.done:
                return PokeReturnValue(is_done=True, xcom_value=self._take(known, context))
        pokes = self._pokes = self._pokes or Pokes(self.segmind_conn_id, self.log, found=False)
        try:
            seen = pokes.ask(self._watch)
        except SegmindError as error:
            raise self._ended(error, context) from None
        if isinstance(seen, Job):
            return PokeReturnValue(is_done=True, xcom_value=self._take(seen, context))
        if is_first:
            self._answered = seen is not None
            self._show_wait(context)
        self._pause = seen.seconds if seen is not None else self._pause
        return PokeReturnValue(is_done=False)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Resume with the trigger's event."""
        if is_start(event):
            result: dict[str, Any] = self.execute(context)
            return result
        self._learn(context)
        try:
            job, complete = read_event(event)
            if not complete:
                how: dict[str, Any] = {"poll_interval": self.poke_interval, "max_outage": self.max_outage}
                again = SegmindHook(self.segmind_conn_id).wait(self._url, timeout=self.timeout, **how)
                job = replace(again, submitted_at=job.submitted_at)
            return self._finish(job, context, job.submitted_at)
        except SegmindError as error:
            self._show_end(context, error)
            self.note_error(error)
            raise sensor_error(error) from None

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral, with the same errors as in the other modes."""
        # If Airflow itself ended the wait (the backstop passed or the trigger broke), ask for the job once more,
        # because its result may be there and is paid for.
        with skipping(self):
            try:
                return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
            except (TaskDeferralTimeout, TaskDeferralError) as error:
                return self._last_look(error, context)

    def lineage_inputs(self) -> list[str]:
        """Return the URIs of the photographs that the job used."""
        return self._photographs

    def _first_look(self, context: Context) -> dict[str, Any] | None:
        """Return the result if it is ready, which saves a trigger and a second start of this task."""
        try:
            job = self._ask()
        except WAITED_OUT as error:
            self.log.info("The first look had no answer, which the trigger waits out: %s", error)
            return None
        except SegmindError as error:
            raise self._ended(error, context) from None
        return self._take(job, context) if job.done else None

    def _defer(self, context: Context) -> NoReturn:
        self._show_wait(context)
        self.defer(
            **deferral(
                self._job,
                self.segmind_conn_id,
                timeout=self.timeout,
                poll_interval=self.poke_interval,
                max_outage=None if self.silent_fail else self.max_outage,
                clock_offset=self._clock_offset,
                output_key=self.output_key,
                needs_image=self.needs_image,
                ending=trigger_exit_of(
                    self, context, self.end_in_trigger, skips=self.soft_fail, never_fails=self.never_fail
                ),
            )
        )

    def _last_look(self, ended: Exception, context: Context) -> dict[str, Any]:
        self._learn(context)
        try:
            job = self._ask()
        except SegmindError as error:
            why = str(error)
        else:
            if job.done:
                return self._take(job, context)
            why = f"its status is {job.status}"
        if isinstance(ended, TaskDeferralTimeout):
            raise self._ended(timed_out(self._url, why), context) from ended
        raise ended

    @property
    def _url(self) -> Any:
        return self.poll_url.get("poll_url") if isinstance(self.poll_url, Mapping) else self.poll_url

    @property
    def _job(self) -> Job:
        """The job with all known facts."""
        return Job(
            request_id=str(self._known.get("request_id") or ""),
            poll_url=str(self._url),
            status="QUEUED",
            workflow=self._known.get("workflow"),
            submitted_at=self._known.get("submitted_at"),
            reused=bool(self._known.get("reused")),
        )

    def _recalled(self) -> Job:
        """Return the job as the memory of swaps knows it, if it is done there."""
        job = self._job
        return recalled(replace(job, request_id=job.request_id or id_in(str(self._url))))

    def _ask(self) -> Job:
        known = self._recalled()
        if known.done:
            return known
        hook = SegmindHook(self.segmind_conn_id)
        job = hook.get_job(self._url)
        self._answered = True
        self._clock_offset = hook.client.clock_offset
        return replace(job, reused=known.reused)

    def _take(self, job: Job, context: Context) -> dict[str, Any]:
        """Return the finished job's result and record its metrics."""
        try:
            result = result_of(job, output_key=self.output_key, needs_image=self.needs_image)
        except SegmindError as error:
            raise self._ended(error, context) from None
        emit_end(self.segmind_conn_id, result, self._job.workflow, self._job.submitted_at)
        return self._finish(job, context)

    def _ended(self, error: SegmindError, context: Context) -> Exception:
        """Record an error that ends the wait in metrics and gallery, and return the exception for the task."""
        lost(error)
        emit_end(self.segmind_conn_id, error, self._job.workflow)
        self._show_end(context, error)
        self.note_error(error)
        return sensor_error(error)

    def _show_wait(self, context: Context) -> None:
        """Show the waiting swap in the gallery and link to it, if there is one: any URL may have been given."""
        job = self._job
        known = job.request_id or self._answered
        record = waiting(job.poll_url, job.request_id, job.submitted_at) if known else None
        if record is not None and is_shown(job.workflow, self.needs_image):
            show(context, record)

    def _show_end(self, context: Context, outcome: Mapping[str, Any] | SegmindError) -> None:
        if isinstance(outcome, SegmindError):
            outcome.request_id = outcome.request_id or self._job.request_id or id_in(str(self._url))
        if is_shown(self._job.workflow, self.needs_image):
            show_end(context, outcome)

    def _finish(self, job: Job, context: Context, submitted_at: float | None = None) -> dict[str, Any]:
        keep(SegmindHook(self.segmind_conn_id), job)
        try:
            result = result_of(job, output_key=self.output_key, needs_image=self.needs_image)
        except SegmindError as error:
            self.note_facts(status=job.status, workflow=self._job.workflow)
            self._show_end(context, error)
            self.note_error(error)
            raise sensor_error(error) from None
        self._show_end(context, result)
        self.swap_result = result
        self.note_result(result, submitted_at or self._job.submitted_at, workflow=self._job.workflow)
        made = line(result["image_url"] or str(result["outputs"]), MAX_URL)
        self.log.info("Request %s is %s: %s", job.request_id, job.status, made)
        return result

    def _get_next_poke_interval(self, started_at: Any, run_duration: Callable[[], float], poke_count: int) -> float:
        interval = max(super()._get_next_poke_interval(started_at, run_duration, poke_count), self._pause)
        return max(0.0, min(interval, self._deadline - time.time()))


_OF_DEFAULT_ARGS = (
    *("segmind_conn_id", "output_key", "deferrable", "poke_interval", "timeout", "max_outage", "end_in_trigger"),
    *("soft_fail", "never_fail", "silent_fail"),
)


def _may_defer(deferrable: bool | None) -> bool:
    """Return whether a ``start_from_trigger=True`` task may defer; raise ``ValueError`` if ``deferrable=False``."""
    if deferrable is False:
        raise ValueError("start_from_trigger=True needs deferrable=True: only a triggerer can start it.")
    return waits_deferred(deferrable)
