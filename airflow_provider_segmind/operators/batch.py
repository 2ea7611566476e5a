"""Operators that order many body swaps in one task and wait for all of them in one trigger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, Context, XComArg

from airflow_provider_segmind.api.parameters import (
    CONN_ID,
    POLL_INTERVAL,
    PREPARE,
    REUSE,
    UNKNOWN,
    check_failures,
    check_interval,
    check_max_age,
    check_mode,
    check_one_of,
    check_outage,
)
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES, BODY_SWAP_WORKFLOW
from airflow_provider_segmind.compat import TaskDeferralError, TaskDeferralTimeout, waits_deferred
from airflow_provider_segmind.links import BeforeAfterLink
from airflow_provider_segmind.observability.lineage import BatchFacts, LineageMixin
from airflow_provider_segmind.rendering import AuthorsTemplatesMixin, TextRowsMixin

if TYPE_CHECKING:
    from airflow_provider_segmind.tasks.batch import BatchRun


class _OrdersBatch(LineageMixin, TextRowsMixin, AuthorsTemplatesMixin, BaseOperator):
    """What both operators share that order a batch."""

    template_fields: Sequence[str] = ("swaps", "select_character", "workflow", "segmind_conn_id", "consent_reference")
    ui_color = "#ece8f6"
    lineage_facts = BatchFacts()
    places_orders: ClassVar[bool] = True

    def __init__(
        self,
        *,
        swaps: str | Sequence[Mapping[str, Any]] | XComArg,
        select_character: str = "woman",
        workflow: str = BODY_SWAP_WORKFLOW,
        segmind_conn_id: str = CONN_ID,
        on_unknown_outcome: str = "fail",
        consent_reference: str | None = None,
        columns: Mapping[str, str] | None = None,
        prepare: str = "auto",
        reuse: str = "auto",
        reuse_max_age: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.reuse = check_one_of("reuse", reuse, REUSE)
        self.reuse_max_age = check_max_age(reuse_max_age)
        self.swaps = swaps
        if isinstance(swaps, list):
            from airflow_provider_segmind.api.manifest import check_written

            check_written(swaps, columns)
        self.columns = columns
        self.select_character = select_character
        self.workflow = workflow
        self.segmind_conn_id = segmind_conn_id
        self.on_unknown_outcome = check_one_of("on_unknown_outcome", on_unknown_outcome, UNKNOWN)
        self.consent_reference = consent_reference
        self.prepare = check_one_of("prepare", prepare, PREPARE)
        self.ordered = 0
        """How many swaps this attempt has ordered."""

    @property
    def known_task(self) -> BaseOperator:
        """The task in the DAG; its settings count."""
        return self

    def run_of(self, context: Context) -> BatchRun:
        """Return what does this task's work."""
        from airflow_provider_segmind.tasks.batch import BatchRun

        return BatchRun(self, context)

    def lineage_inputs(self) -> list[object]:
        """Return the URI of the manifest, or the pictures of the swaps."""
        if isinstance(self.swaps, str):
            return [self.swaps]
        swaps: Any = self.swaps
        return [swap.get(name) for swap in swaps if isinstance(swap, Mapping) for name in BODY_SWAP_IMAGES]

    def on_kill(self) -> None:
        """Log that nothing can be cancelled. The records stay, so a retry can resume the orders."""
        self.log.warning(
            "This task is being killed. Segmind cannot cancel: %d swaps go on and are billed. A retry resumes them.",
            self.ordered,
        )


class SubmitBodySwapBatchOperator(_OrdersBatch):
    """
    Order many body swaps in one task, without waiting for them.

    The operator checks everything before the first charge. On Airflow 3.3 and later, and with ``[segmind] memory`` on
    every version, a retry orders only the swaps that are not ordered yet. Map a sensor over the result:
    ``BodySwapSensor.partial(task_id="wait").expand(poll_url=submit.output)``.

    :param swaps: a list of dicts with ``character_image``, ``reference_character_image`` and optionally
        ``select_character``, ``consent_reference``, ``id`` (your own name for the swap) and ``takes`` (how often to
        order it); or the URI of a manifest with these columns: CSV, JSON or Excel; or an XCom with one of the two.
    :param select_character: the person to replace, in words, for swaps that do not set it.
    :param workflow: id and version of the workflow.
    :param segmind_conn_id: id of the Airflow connection.
    :param on_unknown_outcome: ``fail`` or ``resubmit``, for orders whose outcome stays unknown.
    :param consent_reference: where the consent of the people in the pictures is on record, for swaps that do not set
        it. It is never sent to Segmind. ``[segmind] require_consent`` makes it mandatory.
    :param columns: your names of columns that are not called as above: ``{"Image Src": "character_image"}``.
    :param prepare: ``auto`` or ``never``, as for :class:`SubmitBodySwapOperator`.
    :param reuse: ``auto``, ``etag``, ``never`` or ``refresh``, as for that class.
    :param reuse_max_age: seconds, as for that class.
    :return: a list of ``request_id``, ``poll_url``, ``workflow`` and ``submitted_at``, in the order of ``swaps``.
    :raises AirflowFailException: a retry cannot help or would be billed.
    :raises SegmindError: a retry may help; it orders only what is not ordered yet.
    """

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Order all swaps, except those that an earlier attempt ordered."""
        return self.run_of(context).submit()


class BodySwapBatchOperator(_OrdersBatch):
    """
    Order many body swaps and wait for them in one task, which holds no worker once all are ordered.

    The operator stores results next to ``results_uri`` as they arrive. A swap that fails does not affect the others. On
    Airflow 3.3 and later, and with ``[segmind] memory`` on every version, a retry orders only the swaps that are not
    ordered yet and those that FAILED, each at the price of a swap. It takes all parameters of
    :class:`SubmitBodySwapBatchOperator`, and these:

    :param swaps: see :class:`SubmitBodySwapBatchOperator`.
    :param results_uri: URI of the results manifest to write: JSON Lines, one line per swap, in order; meanwhile
        ``<results_uri>.parts/``. With several machines, use object storage.
    :param max_failures: number of swaps that may lack a picture before the task fails; below 1, their share of all
        swaps.
    :param output_key: ``keyname`` of the output to return as ``image_url``. Default: the first image.
    :param deferrable: whether to wait in a triggerer, rather than on the worker, once all are ordered. Default: the
        option ``[segmind] default_deferrable``.
    :param poll_interval: seconds between polls of one job, as for :class:`BodySwapOperator`.
    :param timeout: seconds to wait at most once all are ordered, in wall-clock time.
    :param max_outage: seconds that a Segmind outage may last before the task gives up a swap. A retry asks for it
        again. Default: wait until ``timeout``.
    :param end_in_trigger: ``auto``, ``True`` or ``False``, as for the sensors.
    :return: ``results_uri``, ``total``, ``completed``, ``failed``, ``by_status`` and ``cost`` (US dollars, an
        estimate).
    :raises AirflowFailException: a retry cannot help or would be billed.
    :raises SegmindError: too many swaps failed, or some could not be ordered, and a retry may help.
    """

    operator_extra_links = (BeforeAfterLink(),)
    template_fields: Sequence[str] = (*_OrdersBatch.template_fields, "results_uri", "output_key")

    def __init__(
        self,
        *,
        results_uri: str,
        max_failures: float = 0,
        output_key: str | None = None,
        deferrable: bool | None = None,
        poll_interval: timedelta | float = POLL_INTERVAL,
        timeout: timedelta | float = 24 * 3600.0,
        max_outage: timedelta | float | None = None,
        end_in_trigger: str | bool = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.results_uri = results_uri
        self.max_failures = check_failures(max_failures)
        self.output_key = output_key
        self.deferrable = waits_deferred(deferrable)
        self.poll_interval = check_interval("poll_interval", poll_interval)
        self.timeout = check_interval("timeout", timeout)
        self.max_outage = check_outage(max_outage)
        self.end_in_trigger = check_mode(end_in_trigger)

    def execute(self, context: Context) -> dict[str, Any]:
        """Order all swaps, except those that an earlier attempt ordered, and wait for them."""
        return self.run_of(context).order_and_wait()

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Resume with the trigger's event."""
        return self.run_of(context).complete(event)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral. If Airflow itself ended the wait, raise an error: retryable if a retry can help."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as ended:
            raise self.run_of(context).paid(ended) from ended
