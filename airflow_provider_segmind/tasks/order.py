"""Order one job."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import picture_said, swap_key
from airflow_provider_segmind.api.results import handle_of
from airflow_provider_segmind.api.workflows import (
    BODY_SWAP_IMAGES,
    check_character,
    check_image,
    check_inputs,
    check_workflow,
)
from airflow_provider_segmind.files.fetching import look_at_url, looks
from airflow_provider_segmind.files.pictures import is_url, read_picture, readable
from airflow_provider_segmind.gallery.recording import ordered, show, unplaced
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.costs import note_reused
from airflow_provider_segmind.memory.swaps import Remembering, digests_in, digests_of, remembering
from airflow_provider_segmind.observability.lineage import leave_inputs
from airflow_provider_segmind.observability.metrics import emit_end
from airflow_provider_segmind.orders.budgets import give_back, reserve
from airflow_provider_segmind.orders.ended import place_error
from airflow_provider_segmind.orders.place import Order, Placed, place
from airflow_provider_segmind.orders.rules import (
    check_consent,
    check_spend,
    consent_of,
    estimated_cost,
    note_orders,
    tagged,
)
from airflow_provider_segmind.orders.store import OrderStore

if TYPE_CHECKING:
    from airflow_provider_segmind.quality.prepare import Prepared


class OrderRun:
    """
    One attempt of a task that orders a job of any workflow.

    :param task: the operator, with what its author wrote.
    """

    def __init__(self, task: Any, context: Context) -> None:
        self.task = task
        self.context = context
        self.clock_offset: float | None = None
        """Seconds by which Segmind's clock is ahead, if an answer has said so."""
        self.prepared: Mapping[str, Sequence[str]] = {}
        """What was done to the pictures before they were sent, by the name of the input."""
        self.digests: tuple[str, ...] = ()
        """SHA-256 of the pictures, once they are read."""
        self._has_reserved = False

    def submit(self) -> dict[str, Any]:
        """Order the job, or find the order of an earlier attempt, and return its handle."""
        job = self.place().job
        leave_inputs(self.context, job.poll_url, self.task.lineage_inputs())
        return handle_of(job)

    def place(self) -> Placed:
        """Place the order once, however often Airflow retries this task."""
        task, context = self.task, self.context
        hook = SegmindHook(task.segmind_conn_id)
        given = task.given_inputs()

        def build(earlier: Sequence[str]) -> Mapping[str, Any]:
            self._check_rules(len(earlier))
            return self.inputs(hook)

        task.note_facts(workflow=task.workflow, consent=consent_of(task.consent_reference))
        memory = self.remembering()

        def key() -> str:
            self._check_consent()  # also for a picture that another task has paid for
            made = self.key(hook)
            if memory is not None:
                memory.pictures[made] = self.digests
            return made

        order = Order(task.workflow, given, build, task.on_unknown_outcome, lambda: self.prepared, memory, key)
        try:
            placed = place(context, hook, order)
        except SegmindError as error:
            raise self._not_placed(error) from None
        task.ordered_id = placed.job.request_id
        # The order exists already, so a broken connection must not fail here; the wait reports it.
        with contextlib.suppress(SegmindError):
            self.clock_offset = hook.client.clock_offset
        self._note(placed)
        return placed

    def remembering(self) -> Remembering | None:
        """Return the memory of swaps as this task uses it, if there is one."""
        task = self.task
        return remembering(
            self.context,
            task.reuse,
            task.reuse_max_age,
            resubmit=task.on_unknown_outcome == "resubmit",
            cost=estimated_cost(task.workflow),
            conn_id=task.segmind_conn_id,
        )

    def key(self, hook: SegmindHook) -> str:
        """Return the key of this order in the memory: its inputs, and the bytes of those that are URLs."""
        workflow = check_workflow(self.task.workflow)
        given = check_inputs(workflow, self.task.given_inputs(), base_url=hook.settings.base_url)
        known: list[str] = []

        def told(name: str, value: Any) -> Any:
            if isinstance(value, str) and is_url(value):
                digests = digests_of(hook, name, value, by_etag=self.task.reuse == "etag")
                known.extend(digests)
                return picture_said(digests[0])
            if isinstance(value, Mapping):
                return {key: told(name, one) for key, one in value.items()}
            return [told(name, one) for one in value] if isinstance(value, list | tuple) else value

        said = {name: told(name, value) for name, value in given.items()}
        self.digests = tuple(dict.fromkeys(known))
        return swap_key(hook.settings.base_url, workflow, said, {})

    def inputs(self, hook: SegmindHook) -> Mapping[str, Any]:
        """Return the checked inputs to send."""
        workflow = check_workflow(self.task.workflow)
        return check_inputs(workflow, self.task.given_inputs(), base_url=hook.settings.base_url)

    def _check_consent(self) -> None:
        if self.task.swaps_people:
            check_consent(self.task.consent_reference)

    def _check_rules(self, ordered: int) -> None:
        task, context = self.task, self.context
        self._check_consent()
        check_spend(context, task, ordered=ordered, more=1, first=max(0, int(context["ti"].map_index or 0)))
        # In a first try nothing is held yet, unless a deleted run had the same id, or this try comes here again.
        begins = not self._has_reserved and not ordered and int(getattr(context["ti"], "try_number", 1)) == 1
        self._has_reserved = True
        reserve(context, task.segmind_conn_id, more=1, begins=begins)

    def _not_placed(self, error: SegmindError) -> Exception:
        """Return the exception for a task whose order was not placed, or perhaps not."""
        task, context = self.task, self.context
        give_back(context)
        emit_end(task.segmind_conn_id, error, task.workflow)
        task.note_error(error)
        raised = place_error(context, error)
        if task.swaps_people:
            show(context, *unplaced(_record_of(context), task.given_inputs(), task.workflow, error))
        return raised

    def _note(self, placed: Placed) -> None:
        """Note a placed order in budgets, costs, lineage and gallery."""
        task, context, job = self.task, self.context, placed.job
        price = estimated_cost(task.workflow)
        if job.reused:
            note_reused(context, 1, price)
        task.note_facts(request_id=job.request_id, status=job.status, cost=0.0 if job.reused else price)
        if placed.attached:
            note_orders(context, placed.orders)
            give_back(context)
        if task.swaps_people:
            show(context, ordered(job, task.given_inputs(), placed.orders, placed.unnamed))


class SwapOrderRun(OrderRun):
    """One attempt of a task that orders a body swap."""

    def __init__(self, task: Any, context: Context) -> None:
        super().__init__(task, context)
        self._read: dict[str, Prepared] = {}
        """Pictures that were read for the key, and are to be uploaded."""

    def key(self, hook: SegmindHook) -> str:
        """Return the key of this swap in the memory, by the bytes of both pictures; those to upload are kept."""
        pictures = {name: check_image(name, getattr(self.task, name)) for name in BODY_SWAP_IMAGES}
        self._read = {
            name: read_picture(name, uri, self.task.prepare) for name, uri in pictures.items() if not is_url(uri)
        }
        known = {
            name: digests_of(hook, name, uri, by_etag=self.task.reuse == "etag")
            if is_url(uri)
            else digests_in(self._read[name])
            for name, uri in pictures.items()
        }
        digests = {name: each[0] for name, each in known.items()}
        self.digests = tuple(dict.fromkeys(one for each in known.values() for one in each))
        given = {**pictures, "select_character": check_character(self.task.select_character)}
        return swap_key(hook.settings.base_url, check_workflow(self.task.workflow), given, digests)

    def inputs(self, hook: SegmindHook) -> Mapping[str, Any]:
        """Check the three inputs, upload local pictures, and return what to send."""
        workflow = check_workflow(self.task.workflow)
        character = check_character(self.task.select_character)
        pictures = {name: check_image(name, getattr(self.task, name)) for name in BODY_SWAP_IMAGES}
        if looks() == "always":
            for name, uri in pictures.items():
                if is_url(uri):
                    look_at_url(hook, name, uri)
        sent = {
            name: readable(hook, name, uri, self.task.prepare, self._read.pop(name, None))
            for name, uri in pictures.items()
        }
        self.prepared = {name: list(picture.done) for name, picture in sent.items() if picture.done}
        inputs = {**{name: picture.url for name, picture in sent.items()}, "select_character": character}
        return tagged(check_inputs(workflow, inputs, base_url=hook.settings.base_url))


def _record_of(context: Context) -> OrderRecord | None:
    """Return what is on record of a task's orders, for the gallery; it must not hide the error that is raised."""
    with contextlib.suppress(Exception):
        return OrderStore(context).load()
    return None
