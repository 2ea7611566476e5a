"""Sensor for a job of any Segmind workflow (a PixelFlow)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseSensorOperator, Context, PokeReturnValue, XComArg

from airflow_provider_segmind.api.parameters import (
    CONN_ID,
    POLL_INTERVAL,
    TIMEOUT,
    check_interval,
    check_mode,
    check_outage,
)
from airflow_provider_segmind.compat import (
    AIRFLOW_V_3_3_PLUS,
    TaskDeferralError,
    TaskDeferralTimeout,
    XComNotFound,
    default_args_of,
    task_id_of,
    waits_deferred,
)
from airflow_provider_segmind.failures import failing, skipping
from airflow_provider_segmind.observability.lineage import LineageMixin
from airflow_provider_segmind.rendering import AuthorsTemplatesMixin

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import OperatorPartial
    from airflow.triggers.base import StartTriggerArgs

    from airflow_provider_segmind.tasks.wait import WaitRun


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
        before it and long after it the triggerer asks less often. On a worker it is the pause between all polls.
        Segmind documents 7.
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
        segmind_conn_id: str = CONN_ID,
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
        self.before = task_id_of(poll_url)  # of the task that ordered
        self.swap_result: Mapping[str, Any] = {}
        self.photographs: list[str] = []  # URIs of what the job used, once they are known
        self.segmind_conn_id = segmind_conn_id
        self.output_key = output_key
        self.deferrable = waits_deferred(deferrable)
        self.end_in_trigger = check_mode(end_in_trigger)
        self.max_outage = check_outage(max_outage)
        self._run: WaitRun | None = None
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
            from airflow_provider_segmind.triggers.starting import may_start, sensor_start

            starts = may_start(made.kwargs.get, made.kwargs["dag"], made.params)
            made.kwargs["start_from_trigger"] = AIRFLOW_V_3_3_PLUS and starts
            if starts:
                settings = made.kwargs.get
                how = sensor_start(settings, None, mapped=True, needs_image=cls.needs_image)
                made.kwargs["start_trigger_args"] = how
        return made

    def _start_in_triggerer(self, made: StartTriggerArgs | None) -> None:
        from airflow_provider_segmind.triggers.starting import may_start, sensor_start
        from airflow_provider_segmind.waiting.ending import settings_of

        # mapped=True: only a complete DAG shows whether another task is mapped over this one.
        read = settings_of(self, mapped=True)
        grouped = self.get_closest_mapped_task_group() is not None
        starts = may_start(read, self.get_dag(), self.params, grouped=grouped)
        self.start_from_trigger = AIRFLOW_V_3_3_PLUS and starts
        if starts:
            how = made or sensor_start(read, self.poll_url, mapped=False, needs_image=self.needs_image)
            self.start_trigger_args = how

    def run_of(self, context: Context) -> WaitRun:
        """Return what does this task's work."""
        from airflow_provider_segmind.tasks.wait import WaitRun

        return WaitRun(self, context)

    def execute(self, context: Context) -> Any:
        """Wait in a triggerer or on this worker."""
        run = self._run = self.run_of(context)
        if self.deferrable:
            return run.in_triggerer()
        run.begin_pokes()
        with failing(self):
            return super().execute(context)

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask for the job with one GET, or a few if the answer is a 404. During an outage, later pokes try again."""
        run = self._run = self._run or self.run_of(context)
        return run.poke()

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Resume with the trigger's event."""
        return self.run_of(context).complete(event)

    def render_template(self, content: Any, *args: Any, **kwargs: Any) -> Any:
        """Render a value. If the XCom for ``poll_url`` is missing, return ``None``; ``execute`` reports it."""
        try:
            return super().render_template(content, *args, **kwargs)
        except XComNotFound:
            if content is self.poll_url:
                return None
            raise

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral, with the same errors as in the other modes."""
        # If Airflow itself ended the wait (the backstop passed or the trigger broke), ask for the job once more,
        # because its result may be there and is paid for.
        with skipping(self):
            try:
                return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
            except (TaskDeferralTimeout, TaskDeferralError) as error:
                return self.run_of(context).last_look(error)

    def lineage_inputs(self) -> list[str]:
        """Return the URIs of the photographs that the job used."""
        return self.photographs

    def _get_next_poke_interval(self, started_at: Any, run_duration: Callable[[], float], poke_count: int) -> float:
        interval: float = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        if self._run is None:
            return interval
        return max(0.0, min(max(interval, self._run.pause), self._run.deadline - time.time()))


_OF_DEFAULT_ARGS = (
    *("segmind_conn_id", "output_key", "deferrable", "poke_interval", "timeout", "max_outage", "end_in_trigger"),
    *("soft_fail", "never_fail", "silent_fail"),
)


def _may_defer(deferrable: bool | None) -> bool:
    """Return whether a ``start_from_trigger=True`` task may defer; raise ``ValueError`` if ``deferrable=False``."""
    if deferrable is False:
        raise ValueError("start_from_trigger=True needs deferrable=True: only a triggerer can start it.")
    return waits_deferred(deferrable)
