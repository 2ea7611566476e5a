"""Operator that orders a job of any Segmind workflow (a PixelFlow)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, Context

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import swap_key
from airflow_provider_segmind.api.results import handle_of
from airflow_provider_segmind.api.workflows import (
    check_inputs,
    check_on_unknown,
    check_workflow,
    is_body_swap,
    is_written,
)
from airflow_provider_segmind.files.pictures import is_url
from airflow_provider_segmind.gallery.recording import doubtful_of, ordered, show, unplaced
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.costs import note_reused
from airflow_provider_segmind.memory.swaps import Remembering, check_max_age, check_reuse, digests_of, remembering
from airflow_provider_segmind.observability.lineage import LineageMixin, leave_inputs
from airflow_provider_segmind.observability.metrics import emit_end
from airflow_provider_segmind.orders.budgets import give_back, reserve
from airflow_provider_segmind.orders.ended import place_error
from airflow_provider_segmind.orders.place import Order, Placed, place
from airflow_provider_segmind.orders.rules import check_consent, check_spend, consent_of, estimated_cost, note_orders
from airflow_provider_segmind.orders.store import OrderStore
from airflow_provider_segmind.rendering import AuthorsTemplatesMixin


class _OrdersPixelFlow(LineageMixin, AuthorsTemplatesMixin, BaseOperator):
    """What all operators share that order a job."""

    template_fields: Sequence[str] = ("workflow", "inputs", "segmind_conn_id", "consent_reference")
    template_fields_renderers = {"inputs": "json"}  # noqa: RUF012 - Airflow's own way to declare it
    ui_color = "#ece8f6"
    places_orders: ClassVar[bool] = True

    def __init__(
        self,
        *,
        workflow: str,
        inputs: Mapping[str, Any],
        segmind_conn_id: str = SegmindHook.default_conn_name,
        on_unknown_outcome: str = "fail",
        consent_reference: str | None = None,
        reuse: str = "auto",
        reuse_max_age: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.reuse = check_reuse(reuse)
        self.reuse_max_age = check_max_age(reuse_max_age)
        self.workflow = check_workflow(workflow) if is_written(workflow) else workflow
        self.inputs = inputs
        self.segmind_conn_id = segmind_conn_id
        self.on_unknown_outcome = check_on_unknown(on_unknown_outcome)
        self.consent_reference = consent_reference
        self._request_id: str | None = None
        self._clock_offset: float | None = None
        self._prepared: Mapping[str, Sequence[str]] = {}
        self._digests: tuple[str, ...] = ()

    def place(self, context: Context) -> Placed:
        """Place the order once, however often Airflow retries this task."""
        hook = SegmindHook(self.segmind_conn_id)

        def build(earlier: Sequence[str]) -> Mapping[str, Any]:
            self._check_rules(context, len(earlier))
            return self.build_inputs(hook)

        self.note_facts(workflow=self.workflow, consent=consent_of(self.consent_reference))
        memory = self.remembering(context)

        def key() -> str:
            made = self.swap_key(hook)
            if memory is not None:
                memory.pictures[made] = self._digests
            return made

        order = Order(
            self.workflow,
            self.given_inputs(),
            build,
            self.on_unknown_outcome,
            lambda: self._prepared,
            memory,
            key,
        )
        try:
            placed = place(context, hook, order)
        except SegmindError as error:
            give_back(context)
            emit_end(self.segmind_conn_id, error, self.workflow)
            self.note_error(error)
            raised = place_error(context, error)
            if self.swaps_people:
                show(context, *unplaced(_record_of(context), self.given_inputs(), self.workflow, error))
            raise raised from None
        self._request_id = placed.job.request_id
        # The order exists already, so a broken connection must not fail here; the wait reports it.
        with contextlib.suppress(SegmindError):
            self._clock_offset = hook.client.clock_offset
        price = estimated_cost(self.workflow)
        if placed.job.reused:
            note_reused(context, 1, price)
        cost = 0.0 if placed.job.reused else price
        self.note_facts(request_id=placed.job.request_id, status=placed.job.status, cost=cost)
        if placed.attached:
            note_orders(context, placed.orders)
            give_back(context)
        if self.swaps_people:
            doubtful = doubtful_of(_record_of(context))
            show(context, ordered(placed.job, self.given_inputs(), placed.orders, doubtful))
        return placed

    def remembering(self, context: Context) -> Remembering | None:
        """Return the memory of swaps as this task uses it, if there is one."""
        cost, resubmit = estimated_cost(self.workflow), self.on_unknown_outcome == "resubmit"
        conn_id = self.segmind_conn_id
        return remembering(context, self.reuse, self.reuse_max_age, resubmit=resubmit, cost=cost, conn_id=conn_id)

    def swap_key(self, hook: SegmindHook) -> str:
        """Return the key of this order in the memory: its inputs, and the bytes of those that are URLs."""
        workflow = check_workflow(self.workflow)
        given = check_inputs(workflow, self.given_inputs(), base_url=hook.settings.base_url)
        urls = {name: value for name, value in given.items() if isinstance(value, str) and is_url(value)}
        digests = {name: digests_of(hook, name, url, by_etag=self.reuse == "etag")[0] for name, url in urls.items()}
        self._digests = tuple(digests.values())
        return swap_key(hook.settings.base_url, workflow, given, digests)

    def _check_rules(self, context: Context, ordered: int) -> None:
        if self.swaps_people:
            check_consent(self.consent_reference)
        check_spend(context, self, ordered=ordered, more=1, first=max(0, int(context["ti"].map_index or 0)))
        reserve(context, self.segmind_conn_id, more=1)

    @property
    def swaps_people(self) -> bool:
        """Whether the order needs the consent of people."""
        return is_body_swap(self.workflow)

    def lineage_inputs(self) -> list[object]:
        """Return the inputs that are URIs."""
        return [value for value in self.given_inputs().values() if isinstance(value, str) and "://" in value]

    def given_inputs(self) -> Mapping[str, Any]:
        """Return the inputs as the DAG author gave them."""
        return self.inputs

    def build_inputs(self, hook: SegmindHook) -> Mapping[str, Any]:
        """Return the checked inputs to send."""
        workflow = check_workflow(self.workflow)
        return check_inputs(workflow, self.inputs, base_url=hook.settings.base_url)

    def submit(self, context: Context) -> dict[str, Any]:
        """Order the job, or find the order of an earlier attempt, and return its handle."""
        job = self.place(context).job
        leave_inputs(context, job.poll_url, self.lineage_inputs())
        return handle_of(job)

    def on_kill(self) -> None:
        """Log that nothing can be cancelled. The record stays, so a retry can resume the order."""
        known = f"request {self._request_id}" if self._request_id else "an order that was just being sent"
        self.log.warning(
            "This task is being killed. Segmind cannot cancel: %s goes on and is billed. A retry resumes it.",
            known,
        )


class SubmitPixelFlowOperator(_OrdersPixelFlow):
    """
    Order a job with one POST, without waiting for it.

    On Airflow 3.3 and later, and with ``[segmind] memory`` on every version, a retry of this task resumes the order of
    an earlier attempt. Clearing the task places a new order; with a memory, it takes what is paid for.

    The operator pushes the XComs ``poll_url`` and ``request_id`` as soon as Segmind accepts the order. Pass
    ``submit.output["poll_url"]`` to a :class:`~airflow_provider_segmind.sensors.pixelflow.PixelFlowSensor`.

    :param workflow: id and version of the workflow, like ``678b67a76426baad7e539337-v4``.
    :param inputs: the workflow's inputs by name.
    :param segmind_conn_id: id of the Airflow connection.
    :param on_unknown_outcome: what to do if an earlier attempt ended without knowing whether Segmind accepted its
        order: ``fail`` permanently, with a message that says where to look, or ``resubmit``, which may pay twice.
    :param consent_reference: where the consent of the people in the pictures is on record: your own id or URL. It is
        never sent to Segmind. ``[segmind] require_consent`` makes it mandatory.
    :param reuse: ``auto`` takes what another task or run has paid for already, if the administrator has set
        ``[segmind] memory``; ``refresh`` orders anew, for all; ``never`` ignores the memory; ``etag`` is ``auto``, but
        knows a picture behind a URL by URL and ETag.
    :param reuse_max_age: seconds since its end for which a picture is taken. Default: for ever.
    :return: ``request_id``, ``poll_url``, ``workflow`` and ``submitted_at`` (seconds since the epoch); if it is reused,
        also ``reused`` and ``cost`` 0.
    :raises AirflowFailException: a retry cannot help or would be billed: wrong key, credits or inputs, or unknown
        outcome.
    :raises SegmindError: a retry may help; nothing was billed.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Order the job, or return the order of an earlier attempt."""
        return self.submit(context)


def _record_of(context: Context) -> OrderRecord | None:
    """Return what is on record of a task's orders, for the gallery; it must not hide the error that is raised."""
    with contextlib.suppress(Exception):
        return OrderStore(context).load()
    return None
