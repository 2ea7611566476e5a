"""Notifier for orders that may have been billed, over any channel that Airflow has a notifier for."""

from __future__ import annotations

import logging
import re
from copy import copy
from typing import Any

from airflow.sdk import BaseNotifier, Context

from airflow_provider_segmind.api.errors import OutcomeUnknownError
from airflow_provider_segmind.orders.store import OrderStore

log = logging.getLogger(__name__)

_UNKNOWN = re.compile(
    r"OutcomeUnknownError|have their picture \([^)]*\b\d+ UNKNOWN\b|\d+ more were being sent, and are to be looked up"
)
"""What says so of one order, of a batch, and of one that was stopped; other errors have the word, such as gRPC's."""

TOLD = "segmind_told"
"""Key under which a task's store keeps which orders people know of."""
_HELP = (
    "https://github.com/airflow-provider-segmind/airflow-provider-segmind/blob/main/docs/how-to/money.md"
    "#after-may-have-been-billed"
)


class MayBeBilledNotifier(BaseNotifier):
    """
    Send one message for each order of which nobody knows whether it was billed; stay silent about everything else.

    Use it as ``on_failure_callback`` of a DAG's tasks::

        default_args={"on_failure_callback": MayBeBilledNotifier(SlackNotifier(text="{{ may_be_billed }}"))}

    As ``on_success_callback``, too, it tells of a batch that succeeds with doubtful orders (``max_failures``).
    A task that fails again for the same order, as after a clear, sends nothing more, where Airflow (3.3 and later) or
    ``[segmind] memory`` keeps the record of its orders.

    :param channel: any notifier of Airflow; its templates may use ``{{ may_be_billed }}``, the message.
    """

    def __init__(self, channel: BaseNotifier) -> None:
        super().__init__()
        self.channel = channel

    def notify(self, context: Context) -> None:
        """Send the message, if an order of the task may have been billed: by its records, or by its error."""
        error = context.get("exception")
        event = _event_of(context)
        if not event and not _is_unknown(error):
            return
        store: Any = context.get("task_state_store")
        if event and store is not None and store.get(TOLD) == event:
            log.info("Nothing is sent: a message about this order has been.")
            return
        # A copy: to render its templates changes a notifier for good.
        copy(self.channel)({**context, "may_be_billed": _message(context, error)})
        if event and store is not None:
            store.set(TOLD, event)


def _is_unknown(error: Any) -> bool:
    """Whether an order of a task that failed with this error, or of its batch, has an unknown outcome."""
    return isinstance(error, OutcomeUnknownError) or bool(_UNKNOWN.search(str(error)))


def _event_of(context: Context) -> list[float]:
    """Return when the orders were sent whose outcome is unknown; empty if nothing is on record."""
    try:
        store = OrderStore(context)
        single = store.load()
        entries = [*store.load_batch()[1].values(), *([single] if single is not None else [])]
    except Exception:  # a message twice is better than none
        log.warning("It cannot be read whether a message about this order was sent.", exc_info=True)
        return []
    return sorted(entry.at for entry in entries if entry.pending)


def _message(context: Context, error: Any) -> str:
    ti = context["ti"]
    index = f" [{ti.map_index}]" if (ti.map_index or 0) >= 0 and ti.map_index is not None else ""
    where = f"Task {ti.task_id}{index} of DAG {ti.dag_id}, run {ti.run_id}"
    return f"{where}: a swap may have been billed. {'' if error is None else f'{error} '}Step by step: {_HELP}"
