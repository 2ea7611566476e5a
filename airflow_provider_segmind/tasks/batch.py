"""Order many body swaps in one task, and wait for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from airflow.sdk import Context

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.memory import Reuse
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.batch.files import (
    BatchFiles,
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
from airflow_provider_segmind.batch.plan import Plan, make_plan
from airflow_provider_segmind.batch.results import Waiting, result_row
from airflow_provider_segmind.batch.waits import Waits, handles_of, place_all
from airflow_provider_segmind.compat import AirflowTaskTimeout
from airflow_provider_segmind.failures import paid_error
from airflow_provider_segmind.gallery.recording import (
    ended_batch,
    file_name,
    ordered_batch,
    ordered_swaps,
    show,
    show_record,
)
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.costs import note_reused
from airflow_provider_segmind.memory.swaps import remembering
from airflow_provider_segmind.observability.assets import Stored, announce
from airflow_provider_segmind.orders.budgets import give_back, reserve
from airflow_provider_segmind.orders.rules import check_spend, consent_of, estimated_cost, note_orders, price_per_swap
from airflow_provider_segmind.orders.store import OrderStore
from airflow_provider_segmind.triggers.batch import BodySwapBatchTrigger
from airflow_provider_segmind.triggers.segmind import BACKSTOP
from airflow_provider_segmind.waiting.ending import trigger_exit_of
from airflow_provider_segmind.waiting.events import read_batch_event
from airflow_provider_segmind.waiting.shared import connection_with
from airflow_provider_segmind.waiting.timeouts import until_timeout


class BatchRun:
    """
    One attempt of a task that orders a batch.

    :param task: the operator, with what its author wrote.
    """

    def __init__(self, task: Any, context: Context) -> None:
        self.task = task
        self.context = context

    def plan(self) -> Plan:
        """Check everything and load what an earlier attempt ordered."""
        self.task.note_facts(workflow=self.task.workflow, consent=consent_of(self.task.consent_reference))

        def check(ordered: int, more: int) -> None:
            check_spend(self.context, self.task.known_task, ordered=ordered, more=more)
            reserve(self.context, self.task.segmind_conn_id, more=more, ledger=plan.ledger)

        try:
            plan = make_plan(
                self.context,
                SegmindHook(self.task.segmind_conn_id),
                self.task.swaps,
                select_character=self.task.select_character,
                workflow=self.task.workflow,
                on_unknown=self.task.on_unknown_outcome,
                consent_reference=self.task.consent_reference,
                columns=self.task.columns,
                prepare=self.task.prepare,
                check_spend=check,
                remembering=remembering(
                    self.context,
                    self.task.reuse,
                    self.task.reuse_max_age,
                    resubmit=self.task.on_unknown_outcome == "resubmit",
                    cost=estimated_cost(self.task.workflow),
                    conn_id=self.task.segmind_conn_id,
                ),
            )
        except SegmindError as error:
            self.task.note_error(error)
            raise self.ended(error) from None
        return plan

    def ended(self, error: Ended, plan: Plan | None = None) -> Exception | AirflowTaskTimeout:
        """Return the exception for a task that has not written its results; it names every paid order."""
        how = Reuse(self.task.reuse == "refresh", self.task.reuse_max_age)
        if plan is not None:
            give_back(self.context, ledger=plan.ledger)
            entries = plan.ledger.entries
            raised = paid_batch_error(self.context, error, entries, self.task.workflow, how)
        else:
            hook = SegmindHook(self.task.segmind_conn_id)
            raised = unplanned_error(self.context, error, self.task.workflow, how, lambda: connection_with(hook))
            entries = OrderStore(self.context).entries_to_resume(int(getattr(self.context["ti"], "max_tries", 0)))
        if any(entry.ordered or entry.pending for entry in entries.values()):
            earlier = len(plan.ledger.earlier) if plan else 0
            self.show_orders(entries, len(plan.swaps) if plan else len(entries), str(raised), earlier)
        return raised

    def show_orders(
        self, entries: Mapping[int, OrderRecord], total: int, error: str | None = None, earlier: int = 0
    ) -> None:
        """Show in the gallery what is ordered, and the error that ended it."""
        results = getattr(self.task, "results_uri", "")
        show(self.context, ordered_batch(entries.values(), total, self.task.workflow, results, error, earlier))

    async def _place(
        self, plan: Plan, indexes: Iterable[int], results: Waits | None, refused: Exception | None
    ) -> Ordering:
        connection = connection_with(plan.hook)
        price = estimated_cost(self.task.workflow)
        indexes = list(indexes)
        cost = "" if price is None else f", for ${len(indexes) * price:.2f}"
        self.task.log.info("Ordering %d of %d swaps%s.", len(indexes), len(plan.swaps), cost)

        def accepted() -> None:
            self.task.ordered += 1
            connection.counters.ordered(self.task.workflow, price)

        try:
            return await place_all(self.context, plan, connection, indexes, results, accepted, refused)
        finally:
            give_back(self.context, ledger=plan.ledger)
            note_orders(self.context, plan.placed)
            if reused := sum(entry.reused for entry in plan.ledger.entries.values()):
                note_reused(self.context, reused, price)
            self.task.note_facts(
                ordered=self.task.ordered, cost=None if price is None else round(self.task.ordered * price, 4)
            )

    def submit(self) -> list[dict[str, Any]]:
        """Order all swaps, except those that an earlier attempt ordered."""
        plan = self.plan()
        try:
            plan.take_over(())
            indexes, refused = plan.affordable(())
            ordering = asyncio.run(self._place(plan, indexes, None, refused))
            if ordering.stopped or ordering.errors:
                missing = len(plan.swaps) - plan.known
                raise failure(ordering, f"{missing} of {len(plan.swaps)} swaps could not be ordered.")
        except SegmindError as error:
            self.task.note_error(error)
            raise self.ended(error, plan) from None
        except (Exception, AirflowTaskTimeout) as error:
            raise self.ended(error, plan) from error
        entries = [plan.ledger.entries[swap.index] for swap in plan.swaps]
        names = [swap.id or file_name(swap.given["character_image"]) for swap in plan.swaps]
        show(self.context, *ordered_swaps(entries, names, self.task.workflow, len(plan.ledger.earlier)))
        return handles_of(plan.ledger.entries, plan.terms.workflow)

    def order_and_wait(self) -> dict[str, Any]:
        """Order all swaps, except those that an earlier attempt ordered, and wait for them."""
        plan = self.plan()
        try:
            summary = self._results_of(plan)
        except SegmindError as error:
            self.task.note_error(error)
            raise self.ended(error, plan) from None
        except (Exception, AirflowTaskTimeout) as error:
            raise self.ended(error, plan) from error
        return self._finish(summary)

    def _results_of(self, plan: Plan) -> dict[str, Any]:
        """Order and wait, and return the summary of the results; a deferrable task defers instead."""
        files = BatchFiles(self.task.results_uri, plan.ledger.header.batch)
        ended, failed = begun(plan, files)
        reused = {index: result_row(index, job, self.task.output_key) for index, job in plan.take_over(failed).items()}
        if reused:
            patiently(partial(files.write_part, reused.values()))
        ended, failed = ended | reused, {index: row for index, row in failed.items() if plan.stands(index, row)}
        waits = Waits(
            Waiting(self.task.poll_interval, self.task.output_key, self.task.max_outage),
            self.task.timeout,
            plan,
            files,
            ended,
        )
        del ended, reused  # a large batch has them once, in `waits`
        indexes, refused = plan.affordable(failed)
        ordering = asyncio.run(self._place(plan, indexes, waits, refused))
        swaps, problems = plan.rows(), problem_rows(plan, ordering)
        if plan.known:
            patiently(lambda: files.write_swaps(swaps))
        results = own(swaps, {**failed, **waits.rows})
        if any(row["request_id"] and row["index"] not in results for row in swaps):
            # Wait also if ordering stopped half-way: the accepted orders are paid for.
            patiently(lambda: files.write_part(problems.values()))
            self.show_orders(plan.ledger.entries, len(swaps), earlier=len(plan.ledger.earlier))
            trigger = self._trigger(files, plan.hook.client.clock_offset)
            if not self.task.deferrable:
                return self._wait_here(plan.hook, trigger)
            later = timedelta(seconds=self.task.timeout + BACKSTOP)
            self.task.defer(trigger=trigger, method_name="execute_complete", timeout=later)
        self.show_orders(plan.ledger.entries, len(swaps), earlier=len(plan.ledger.earlier))
        rows = compose(swaps, results | problems)
        patiently(lambda: files.write_results(rows))
        return summary_of(rows, self.task.results_uri, price_per_swap())

    def complete(self, event: Any) -> dict[str, Any]:
        """Resume with the trigger's event."""
        self.task.note_facts(workflow=self.task.workflow, consent=consent_of(self.task.consent_reference))
        try:
            return self._finish(read_batch_event(event))
        except SegmindError as error:
            self.task.note_error(error)
            raise self.paid(error) from None

    def paid(self, error: Exception) -> Exception | AirflowTaskTimeout:
        """Return the exception for a task whose wait ended: retryable if a retry can resume, else permanent."""
        if OrderStore(self.context).durable:
            return self.ended(error)
        how = (
            f"What became of each is in {shown(self.task.results_uri)}, or beside it; the handles of all are this "
            "task's XCom 'ordered', for a sensor. Order the rest in another run."
        )
        return paid_error(error, kept=False, how=how)

    def _wait_here(self, hook: SegmindHook, trigger: BodySwapBatchTrigger) -> dict[str, Any]:
        async def wait() -> dict[str, Any]:
            connection = connection_with(hook)
            try:
                return await until_timeout(trigger.wait(connection, self.task.log), lambda _: None)
            finally:
                await connection.close()

        return asyncio.run(wait())

    def _trigger(self, files: BatchFiles, clock_offset: float | None) -> BodySwapBatchTrigger:
        return BodySwapBatchTrigger(
            results=files.results,
            batch=files.batch,
            segmind_conn_id=self.task.segmind_conn_id,
            deadline=time.time() + self.task.timeout,
            poll_interval=self.task.poll_interval,
            output_key=self.task.output_key,
            max_failures=self.task.max_failures,
            price=price_per_swap(),
            ending=trigger_exit_of(self.task.known_task, self.context, self.task.end_in_trigger).to_json(),
            max_outage=self.task.max_outage,
            clock_offset=clock_offset,
        )

    def _finish(self, summary: dict[str, Any]) -> dict[str, Any]:
        self.task.note_facts(summary=summary)
        self.task.lineage_made = [self.task.results_uri]
        self.task.log.info("Batch: %s.", in_words(summary))
        show_record(self.context, ended_batch(summary))
        if not too_many(summary, self.task.max_failures):
            counts = {name: value for name, value in summary.items() if name != "results_uri"}
            announce(self.context, [Stored(self.task.results_uri, counts)])
            return summary
        durable = OrderStore(self.context).durable
        error, kept = missing_error(summary, self.task.results_uri, self.task.max_failures, durable=durable)
        raise error if kept else self.paid(error)
