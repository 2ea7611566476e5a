"""Operators that order many body swaps in one task and wait for all of them in one trigger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, Context, XComArg

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.memory import Reuse
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.patience import check_interval, check_outage
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES, BODY_SWAP_WORKFLOW, check_on_unknown
from airflow_provider_segmind.batch.files import (
    BatchFiles,
    check_failures,
    compose,
    own,
    summary_of,
    too_many,
)
from airflow_provider_segmind.batch.ordering import Ordering
from airflow_provider_segmind.batch.outcomes import (
    Ended,
    begun,
    failure,
    in_words,
    missing_error,
    paid_batch_error,
    patiently,
    problem_rows,
    unplanned_error,
)
from airflow_provider_segmind.batch.plan import Plan, check_written, make_plan
from airflow_provider_segmind.batch.results import result_row
from airflow_provider_segmind.batch.waits import Waiting, Waits, handles_of, place_all
from airflow_provider_segmind.compat import AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout
from airflow_provider_segmind.connection import waits_deferred
from airflow_provider_segmind.failures import paid_error
from airflow_provider_segmind.files.pictures import check_prepare
from airflow_provider_segmind.gallery.recording import (
    ended_batch,
    file_name,
    ordered_batch,
    ordered_swaps,
    show,
    show_record,
)
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.links import BeforeAfterLink
from airflow_provider_segmind.memory.costs import note_reused
from airflow_provider_segmind.memory.swaps import check_max_age, check_reuse, remembering
from airflow_provider_segmind.observability.assets import Stored, announce
from airflow_provider_segmind.observability.lineage import BatchFacts, LineageMixin
from airflow_provider_segmind.orders.budgets import give_back, reserve
from airflow_provider_segmind.orders.rules import check_spend, consent_of, estimated_cost, note_orders, price_per_swap
from airflow_provider_segmind.orders.store import OrderStore
from airflow_provider_segmind.rendering import AuthorsTemplatesMixin, TextRowsMixin
from airflow_provider_segmind.triggers.batch import BodySwapBatchTrigger
from airflow_provider_segmind.triggers.segmind import BACKSTOP
from airflow_provider_segmind.waiting.ending import check_mode, trigger_exit_of
from airflow_provider_segmind.waiting.events import read_batch_event
from airflow_provider_segmind.waiting.shared import connection_with
from airflow_provider_segmind.waiting.timeouts import until_timeout


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
        segmind_conn_id: str = SegmindHook.default_conn_name,
        on_unknown_outcome: str = "fail",
        consent_reference: str | None = None,
        columns: Mapping[str, str] | None = None,
        prepare: str = "auto",
        reuse: str = "auto",
        reuse_max_age: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.reuse = check_reuse(reuse)
        self.reuse_max_age = check_max_age(reuse_max_age)
        self.swaps = swaps
        check_written(swaps, columns)
        self.columns = columns
        self.select_character = select_character
        self.workflow = workflow
        self.segmind_conn_id = segmind_conn_id
        self.on_unknown_outcome = check_on_unknown(on_unknown_outcome)
        self.consent_reference = consent_reference
        self.prepare = check_prepare(prepare)
        self._ordered = 0

    @property
    def known_task(self) -> BaseOperator:
        """The task in the DAG; its settings count."""
        return self

    def plan(self, context: Context) -> Plan:
        """Check everything and load what an earlier attempt ordered."""
        self.note_facts(workflow=self.workflow, consent=consent_of(self.consent_reference))

        def check(ordered: int, more: int) -> None:
            check_spend(context, self.known_task, ordered=ordered, more=more)
            reserve(context, self.segmind_conn_id, more=more, ledger=plan.ledger)

        try:
            plan = make_plan(
                context,
                SegmindHook(self.segmind_conn_id),
                self.swaps,
                select_character=self.select_character,
                workflow=self.workflow,
                on_unknown=self.on_unknown_outcome,
                consent_reference=self.consent_reference,
                columns=self.columns,
                prepare=self.prepare,
                check_spend=check,
                remembering=remembering(
                    context,
                    self.reuse,
                    self.reuse_max_age,
                    resubmit=self.on_unknown_outcome == "resubmit",
                    cost=estimated_cost(self.workflow),
                    conn_id=self.segmind_conn_id,
                ),
            )
        except SegmindError as error:
            self.note_error(error)
            raise self.ended(context, error) from None
        return plan

    def ended(self, context: Context, error: Ended, plan: Plan | None = None) -> Exception | AirflowTaskTimeout:
        """Return the exception for a task that has not written its results; it names every paid order."""
        how = Reuse(self.reuse == "refresh", self.reuse_max_age)
        if plan is not None:
            give_back(context, ledger=plan.ledger)
            entries = plan.ledger.entries
            raised = paid_batch_error(context, error, entries, self.workflow, how)
        else:
            hook = SegmindHook(self.segmind_conn_id)
            raised = unplanned_error(context, error, self.workflow, how, lambda: connection_with(hook))
            entries = OrderStore(context).entries_to_resume(int(getattr(context["ti"], "max_tries", 0)))
        if any(entry.ordered or entry.pending for entry in entries.values()):
            self.show_orders(context, entries, len(plan.swaps) if plan else len(entries), str(raised))
        return raised

    def show_orders(
        self, context: Context, entries: Mapping[int, OrderRecord], total: int, error: str | None = None
    ) -> None:
        """Show in the gallery what is ordered, and the error that ended it."""
        results = getattr(self, "results_uri", "")
        show(context, ordered_batch(entries.values(), total, self.workflow, results, error))

    async def _place(
        self, context: Context, plan: Plan, indexes: Iterable[int], results: Waits | None, refused: Exception | None
    ) -> Ordering:
        connection = connection_with(plan.hook)
        price = estimated_cost(self.workflow)
        indexes = list(indexes)
        cost = "" if price is None else f", for ${len(indexes) * price:.2f}"
        self.log.info("Ordering %d of %d swaps%s.", len(indexes), len(plan.swaps), cost)

        def accepted() -> None:
            self._ordered += 1
            connection.counters.ordered(self.workflow, price)

        try:
            return await place_all(context, plan, connection, indexes, results, accepted, refused)
        finally:
            give_back(context, ledger=plan.ledger)
            note_orders(context, plan.placed)
            if reused := sum(entry.reused for entry in plan.ledger.entries.values()):
                note_reused(context, reused, price)
            self.note_facts(ordered=self._ordered, cost=None if price is None else round(self._ordered * price, 4))

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
            self._ordered,
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

    def execute(self, context: Context) -> Any:
        """Order all swaps, except those that an earlier attempt ordered."""
        plan = self.plan(context)
        try:
            plan.take_over(())
            indexes, refused = plan.affordable(())
            ordering = asyncio.run(self._place(context, plan, indexes, None, refused))
            if ordering.stopped or ordering.errors:
                missing = len(plan.swaps) - plan.known
                raise failure(ordering, f"{missing} of {len(plan.swaps)} swaps could not be ordered.")
        except SegmindError as error:
            self.note_error(error)
            raise self.ended(context, error, plan) from None
        except (Exception, AirflowTaskTimeout) as error:
            raise self.ended(context, error, plan) from error
        entries = [plan.ledger.entries[swap.index] for swap in plan.swaps]
        names = [swap.id or file_name(swap.given["character_image"]) for swap in plan.swaps]
        show(context, *ordered_swaps(entries, names, self.workflow))
        return handles_of(plan.ledger.entries, plan.terms.workflow)


class BodySwapBatchOperator(_OrdersBatch):
    """
    Order many body swaps and wait for them in one task, which holds no worker once all are ordered.

    The operator stores results next to ``results_uri`` as they arrive. A swap that fails does not affect the others. On
    Airflow 3.3 and later, and with ``[segmind] memory`` on every version, a retry orders only the swaps that are not
    ordered yet and those that FAILED, each at the price of a swap.

    :param swaps: see :class:`SubmitBodySwapBatchOperator`.
    :param results_uri: URI of the results manifest to write: JSON Lines, one line per swap, in order.
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
        poll_interval: timedelta | float = 7.0,
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
        return self.order_and_wait(context)

    def order_and_wait(self, context: Context) -> dict[str, Any]:
        """Do the work of ``execute``, which Airflow lets only its task runner call."""
        plan = self.plan(context)
        try:
            summary = self._results_of(context, plan)
        except SegmindError as error:
            self.note_error(error)
            raise self.ended(context, error, plan) from None
        except (Exception, AirflowTaskTimeout) as error:
            raise self.ended(context, error, plan) from error
        return self._finish(context, summary)

    def _results_of(self, context: Context, plan: Plan) -> dict[str, Any]:
        """Order and wait, and return the summary of the results; a deferrable task defers instead."""
        files = BatchFiles(self.results_uri, plan.ledger.header.batch)
        ended, failed = begun(plan, files)
        reused = {index: result_row(index, job, self.output_key) for index, job in plan.take_over(failed).items()}
        if reused:
            patiently(lambda: files.write_part(reused.values()))
        ended, failed = ended | reused, {index: row for index, row in failed.items() if plan.stands(index, row)}
        waits = Waits(Waiting(self.timeout, self.poll_interval, self.output_key, self.max_outage), plan, files, ended)
        indexes, refused = plan.affordable(failed)
        ordering = asyncio.run(self._place(context, plan, indexes, waits, refused))
        swaps, problems = plan.rows(), problem_rows(plan, ordering)
        if plan.known:
            patiently(lambda: files.write_swaps(swaps))
        results = own(swaps, failed | waits.rows)
        if any(row["request_id"] and row["index"] not in results for row in swaps):
            # Wait also if ordering stopped half-way: the accepted orders are paid for.
            patiently(lambda: files.write_part(problems.values()))
            self.show_orders(context, plan.ledger.entries, len(swaps))
            trigger = self._trigger(context, files, plan.hook.client.clock_offset)
            if not self.deferrable:
                return self._wait_here(plan.hook, trigger)
            later = timedelta(seconds=self.timeout + BACKSTOP)
            self.defer(trigger=trigger, method_name="execute_complete", timeout=later)
        self.show_orders(context, plan.ledger.entries, len(swaps))
        rows = compose(swaps, results | problems)
        patiently(lambda: files.write_results(rows))
        return summary_of(rows, self.results_uri, price_per_swap())

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Resume with the trigger's event."""
        self.note_facts(workflow=self.workflow, consent=consent_of(self.consent_reference))
        try:
            return self._finish(context, read_batch_event(event))
        except SegmindError as error:
            self.note_error(error)
            raise self._paid(context, error) from None

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral. If Airflow itself ended the wait, raise an error: retryable if a retry can help."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as ended:
            raise self._paid(context, ended) from ended

    def _paid(self, context: Context, error: Exception) -> Exception | AirflowTaskTimeout:
        """Return the exception for a task whose wait ended: retryable if a retry can resume, else permanent."""
        if OrderStore(context).durable:
            return self.ended(context, error)
        how = f"What became of each is in {shown(self.results_uri)}, or beside it; the handles of all are this task's "
        return paid_error(error, kept=False, how=f"{how}XCom 'ordered', for a sensor. Order the rest in another run.")

    def _wait_here(self, hook: SegmindHook, trigger: BodySwapBatchTrigger) -> dict[str, Any]:
        async def wait() -> dict[str, Any]:
            connection = connection_with(hook)
            try:
                return await until_timeout(trigger.wait(connection, self.log), lambda _: None)
            finally:
                await connection.close()

        return asyncio.run(wait())

    def _trigger(self, context: Context, files: BatchFiles, clock_offset: float | None) -> BodySwapBatchTrigger:
        return BodySwapBatchTrigger(
            results=files.results,
            batch=files.batch,
            segmind_conn_id=self.segmind_conn_id,
            deadline=time.time() + self.timeout,
            poll_interval=self.poll_interval,
            output_key=self.output_key,
            max_failures=self.max_failures,
            price=price_per_swap(),
            ending=trigger_exit_of(self.known_task, context, self.end_in_trigger).to_json(),
            max_outage=self.max_outage,
            clock_offset=clock_offset,
        )

    def _finish(self, context: Context, summary: dict[str, Any]) -> dict[str, Any]:
        self.note_facts(summary=summary)
        self.lineage_made = [self.results_uri]
        self.log.info("Batch: %s.", in_words(summary))
        show_record(context, ended_batch(summary))
        if not too_many(summary, self.max_failures):
            counts = {name: value for name, value in summary.items() if name != "results_uri"}
            announce(context, [Stored(self.results_uri, counts)])
            return summary
        durable = OrderStore(context).durable
        error, kept = missing_error(summary, self.results_uri, self.max_failures, durable=durable)
        raise error if kept else self._paid(context, error)
