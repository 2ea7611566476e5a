"""The decorator ``@task.body_swap``: a function returns the inputs of swaps, and the task makes them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, Context
from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory
from airflow.sdk.definitions._internal.types import SET_DURING_EXECUTION
from airflow.sdk.definitions.context import context_merge

from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError
from airflow_provider_segmind.api.parameters import check_failures
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES, SWAP_FIELDS
from airflow_provider_segmind.compat import AirflowTaskTimeout, determine_kwargs
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, BodySwapOperator

if TYPE_CHECKING:
    from airflow_provider_segmind.orders.returned import Swap

log = logging.getLogger(__name__)

_LATER: Any = SET_DURING_EXECUTION


class _BodySwapDecoratedOperator(DecoratedOperator, BodySwapOperator):
    """Swaps what a function returns: one swap for a dict, a batch for a list of dicts."""

    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *BodySwapOperator.template_fields,
        "results_uri",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **BodySwapOperator.template_fields_renderers,
    }
    custom_operator_name: str = "@task.body_swap"
    overwrite_rtif_after_execution: bool = True

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        timeout: timedelta | float | None = None,
        results_uri: str | None = None,
        max_failures: float = 0,
        columns: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        refused = sorted({*BODY_SWAP_IMAGES, "swaps"} & kwargs.keys())
        if refused:
            raise TypeError(f"@task.body_swap takes no {', '.join(refused)}: its function returns what is swapped.")
        timed: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            **dict.fromkeys(BODY_SWAP_IMAGES, _LATER),
            **timed,
            **kwargs,
        )
        self.results_uri = results_uri
        self.columns = columns
        self.max_failures = check_failures(max_failures)
        self._timed = timed
        self._batch: _Batch | None = None

    def execute(self, context: Context) -> Any:
        """Call the function, order the swaps it returns, and wait for them in a triggerer."""
        from airflow_provider_segmind.orders.returned import check_kind, read_returned

        try:
            returned = self._ask_function(context)
        except Exception:
            broken = SegmindError("The function of a @task.body_swap raised an error.")
            before = broken.message
            self._refused(context, broken)
            if broken.message != before:
                log.warning("%s", broken)  # names the paid orders; the function's own error decides what happens
            raise
        try:
            given = read_returned(returned)
            check_kind(context, many=isinstance(given, list))
            batch = self._as_batch(given) if isinstance(given, list) else None
        except SegmindError as error:
            self.note_error(error)
            raise self._refused(context, error) from None
        if batch is not None:
            with self._being(batch):
                return batch.run_of(context).order_and_wait()
        self._take(given)
        return super().execute(context)

    def _refused(self, context: Context, error: SegmindError) -> Exception | AirflowTaskTimeout:
        """Return the exception for a function that returned no valid swaps; it names the orders on record."""
        from airflow_provider_segmind.api.memory import Reuse
        from airflow_provider_segmind.batch.outcomes import paid_batch_error
        from airflow_provider_segmind.orders.ended import place_error
        from airflow_provider_segmind.orders.store import OrderStore

        entries = OrderStore(context).entries_to_resume(int(getattr(context["ti"], "max_tries", 0)))
        if not entries:
            return place_error(context, error)
        try:
            return self._as_batch(()).run_of(context).ended(error)
        except InvalidRequestError:  # the author has removed results_uri
            how = Reuse(self.reuse == "refresh", self.reuse_max_age)
            return paid_batch_error(context, error, entries, self.workflow, how)

    def execute_one(self, context: Context, event: Any = None, given: Swap | None = None) -> dict[str, Any]:
        """Resume one swap with the trigger's event; ``dag.test()`` loses ``given``, and the result does not need it."""
        self._take(given or {})
        return self.execute_complete(context, event)

    def execute_batch(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Resume a batch with the trigger's event."""
        batch = self._as_batch(())
        with self._being(batch):
            return batch.run_of(context).complete(event)

    def defer(self, **how: Any) -> Any:
        """Defer, and keep the returned inputs for the resume."""
        given = {name: getattr(self, name) for name in SWAP_FIELDS}
        kept = {**(how.get("kwargs") or {}), "given": given}
        super().defer(**{**how, "method_name": "execute_one", "kwargs": kept})

    def on_kill(self) -> None:
        """Log that nothing can be cancelled."""
        if self._batch is not None:
            self._batch.on_kill()
        else:
            super().on_kill()

    def lineage_inputs(self) -> list[object]:
        """Return the URIs of the pictures that the function returned."""
        inputs = self._batch.lineage_inputs() if self._batch is not None else super().lineage_inputs()
        return [uri for uri in inputs if isinstance(uri, str)]

    def _ask_function(self, context: Context) -> object:
        context_merge(context, self.op_kwargs)
        kwargs = determine_kwargs(self.python_callable, self.op_args, context)
        # Do not render the value: it may come from anywhere, and only a DAG author may write templates.
        return self.python_callable(*self.op_args, **kwargs)

    def _take(self, given: Swap | Any) -> None:
        for name in SWAP_FIELDS:
            if given.get(name) is not None:
                setattr(self, name, given[name])

    def _as_batch(self, swaps: Sequence[Swap]) -> _Batch:
        if not self.results_uri:
            raise InvalidRequestError(
                "The function of a @task.body_swap returned a list, for which results_uri is missing: give "
                "the URI of the manifest that is written, as in @task.body_swap(results_uri='s3://…/results.jsonl'). "
                "Nothing was ordered now."
            )
        return _Batch(
            stands_for=self,
            task_id=self.task_id,
            swaps=swaps,
            results_uri=self.results_uri,
            max_failures=self.max_failures,
            columns=self.columns,
            select_character=self.select_character,
            workflow=self.workflow,
            segmind_conn_id=self.segmind_conn_id,
            on_unknown_outcome=self.on_unknown_outcome,
            consent_reference=self.consent_reference,
            prepare=self.prepare,
            reuse=self.reuse,
            reuse_max_age=self.reuse_max_age,
            output_key=self.output_key,
            poll_interval=self.poll_interval,
            max_outage=self.max_outage,
            end_in_trigger=self.end_in_trigger,
            deferrable=self.deferrable,
            **self._timed,
        )

    @contextlib.contextmanager
    def _being(self, batch: _Batch) -> Iterator[None]:
        self._batch = batch
        try:
            yield
        finally:
            # OpenLineage asks the decorated task.
            self.lineage_facts, self.lineage_made = batch.lineage_facts, batch.lineage_made

    def _last_look(self, context: Context, ended: Exception) -> dict[str, Any]:
        ti = context["ti"]
        if not ti.xcom_pull(task_ids=self.task_id, key="poll_url", map_indexes=ti.map_index):
            raise ended  # a batch has no poll_url; its retry resumes the orders
        return super()._last_look(context, ended)


class _Batch(BodySwapBatchOperator):
    """Batch operator behind a decorated task whose function returned a list; Airflow resumes that task."""

    def __init__(self, *, stands_for: BaseOperator, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._stands_for = stands_for

    @property
    def known_task(self) -> BaseOperator:
        """The decorated task."""
        return self._stands_for

    def defer(self, **how: Any) -> Any:
        """Defer the decorated task."""
        super().defer(**{**how, "method_name": "execute_batch"})


def body_swap_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Wrap a function that returns the inputs of one body swap, or a list of them, into a task that swaps.

    For one dict the task works like :class:`~airflow_provider_segmind.operators.body_swap.BodySwapOperator`, for a list
    like :class:`~airflow_provider_segmind.operators.body_swap.BodySwapBatchOperator`, which needs ``results_uri``. The
    function runs once in each attempt, on the worker, before anything is ordered; it does not run again after the wait.
    A retry resumes the order if the function returns the same again. If it returns something else, the task fails
    permanently and orders nothing.

    :param python_callable: returns a dict with ``character_image``, ``reference_character_image`` and optionally
        ``select_character`` and ``consent_reference``, or a list of such dicts. Airflow does not render these values.
    :param multiple_outputs: whether each value of the result becomes its own XCom. By default it does not, whatever
        return type the function declares, because that is the type of the inputs.
    :param kwargs: parameters of ``BodySwapOperator`` except the pictures; ``results_uri``, ``max_failures`` and
        ``columns`` of ``BodySwapBatchOperator``; or those of any task. ``select_character`` and ``consent_reference``
        apply to swaps that do not set them. ``timeout`` is by default an hour for one swap and a day for a list.
    """
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=bool(multiple_outputs),
        decorated_operator_class=_BodySwapDecoratedOperator,
        **kwargs,
    )
