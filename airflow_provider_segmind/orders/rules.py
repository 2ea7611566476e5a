"""Rules to check before an order is sent: consent, spend limit, tag, and no blind order in a retry without a record."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator, Context

from airflow_provider_segmind.api.errors import CreditsError, InvalidRequestError, OutcomeUnknownError
from airflow_provider_segmind.api.workflows import PRICE, is_body_swap, is_nothing, tag_scene
from airflow_provider_segmind.compat import conf

log = logging.getLogger(__name__)

ORDERS = "segmind_orders"
"""XCom with the number of orders that a task has placed or will place now, if spend is limited."""


def consent_of(reference: object) -> str | None:
    """Return the reference to the consent of the people in the pictures, or ``None`` if it stands for nothing."""
    text = "" if reference is None else str(reference).strip()
    return None if is_nothing(text) else text


def consent_required() -> bool:
    """Return whether the administrator requires a consent reference."""
    return bool(conf.getboolean("segmind", "require_consent", fallback=False))


def check_consent(reference: object) -> None:
    """Raise if the administrator requires a consent reference and there is none."""
    if consent_of(reference) is None and consent_required():
        raise InvalidRequestError(
            f"consent_reference is {reference!r}, and [segmind] require_consent is on, so nothing is ordered. Give "
            "a reference to the consent of the people in the pictures."
        )


def tagged(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the inputs of a body swap, with a unique tag if the administrator wants one."""
    if not conf.getboolean("segmind", "tag_orders", fallback=False):
        return inputs
    return tag_scene(inputs, uuid.uuid4().hex[:12])


def spend_limit() -> float | None:
    """Return the US dollars that one DAG run may spend, or ``None`` for no limit; raise if the options are unusable."""
    return dollars_of("max_spend_per_run")


def dollars_of(option: str) -> float | None:
    """Return a spend limit in US dollars, or ``None`` for no limit; raise if the options are unusable."""
    limit = float(conf.getfloat("segmind", option, fallback=0.0))
    if not math.isfinite(limit) or limit < 0:
        raise InvalidRequestError(
            f"[segmind] {option} is {limit}. Ask your Airflow administrator to set it to an amount in US "
            "dollars, or to 0 for no limit."
        )
    if limit and not price_per_swap() > 0:
        raise InvalidRequestError(
            f"[segmind] {option} is {limit}, but price_per_swap is {price_per_swap()}, so the cost of an order is not "
            "known. Ask your Airflow administrator to set [segmind] price_per_swap to the price of one swap."
        )
    return limit or None


def note_orders(context: Context, orders: int) -> None:
    """Push the number of a task's orders for the other tasks of its run; Airflow clears it when an attempt begins."""
    # Never raises: the orders are already paid for, so a bad limit setting must not fail the task.
    try:
        if spend_limit() is not None:
            context["ti"].xcom_push(key=ORDERS, value=orders)
    except Exception:
        log.exception("The other tasks of this run cannot count the %d orders of this one.", orders)


def check_spend(context: Context, task: BaseOperator, *, ordered: int, more: int, first: int | None = None) -> None:
    """
    Raise if this task's orders would exceed the spend limit of the DAG run.

    :param ordered: this task's orders so far, including earlier attempts.
    :param more: the number of new orders.
    :param first: orders of this mapped task's instances with a lower index. If its instances counted each other, all
        would be refused although the limit covers some. ``None``: count what they published.
    :raises CreditsError: the run would spend too much; nothing was ordered now.
    """
    # A task publishes the orders it wants before it counts those of other tasks. If two tasks start at the same moment,
    # both may be refused, but they never both pass if the money covers only one. A refused task withdraws its number.
    if not more:
        note_orders(context, ordered)
        return
    limit = spend_limit()
    if limit is None:
        return
    orders = ordered + more
    context["ti"].xcom_push(key=ORDERS, value=orders)
    others = _orders_of(context, _ordering_tasks(task, but_own=first is not None))
    # With first=None, `others` includes this task.
    total = others if first is None else others + first + orders
    needed = price_per_swap() * max(total, orders)
    if needed > limit + 1e-9:
        note_orders(context, ordered)
        then = "Then clear the task."
        if ordered:
            then = (
                "Then let the task retry: a retry continues where it stopped. Clearing the task pays again for what it "
                "ordered."
            )
        raise CreditsError(
            f"With this task's {orders} swaps, this DAG run would have ordered {total}. At ${price_per_swap()} each, "
            f"that is ${needed:.2f}, but [segmind] max_spend_per_run is ${limit:.2f}. Nothing was ordered now. Ask "
            f"your Airflow administrator to raise the limit, or order fewer swaps in one run. {then}"
        )


def _ordering_tasks(task: BaseOperator, *, but_own: bool) -> list[str]:
    dag = task.get_dag()
    tasks: dict[str, Any] = {task.task_id: task} if dag is None else dag.task_dict
    return [
        task_id
        for task_id, other in tasks.items()
        if getattr(getattr(other, "operator_class", type(other)), "places_orders", False)
        and not (but_own and task_id == task.task_id)
    ]


def _orders_of(context: Context, task_ids: list[str]) -> int:
    if not task_ids:
        return 0
    said = context["ti"].xcom_pull(task_ids=task_ids, key=ORDERS)
    return sum(int(orders) for orders in said or () if orders is not None)


def check_retry(context: Context, *, durable: bool, resubmit: bool) -> None:
    """
    Raise in a retry of a task that keeps no record between attempts: an earlier attempt may have ordered.

    :param durable: whether Airflow (3.3 and later) or the memory of swaps keeps a record between attempts.
    :param resubmit: whether the DAG author accepts that a retry may pay again.
    """
    if durable or resubmit:
        return
    if not _is_first_try(context):
        raise OutcomeUnknownError(
            "This is a retry, and nothing keeps a record of what an earlier attempt ordered (Airflow 3.3 and later do, "
            "and so does [segmind] memory), so nothing is ordered now. Look in the log of the earlier attempt for a "
            "request id, whose result a BodySwapSensor fetches. If there is none, clear the task once its run has "
            "ended, which orders anew. That may pay again, since an order that was just being sent has no id in any "
            "log: look at your Segmind request history first. Set retries=0 on this task, or "
            "on_unknown_outcome='resubmit' if a retry may pay again."
        )


def _is_first_try(context: Context) -> bool:
    """Return whether this is the first attempt, or the first one after a person cleared the task."""
    # After a clear, Airflow adds the current ``retries`` to the attempts so far. That alone proves nothing: a person
    # who lowers ``retries`` while a retry is pending causes the same numbers. So the run must have been cleared, too.
    ti = context["ti"]
    tries = int(getattr(ti, "try_number", 1))
    if tries <= 1:
        return True
    cleared = int(getattr(context.get("dag_run"), "clear_number", 0) or 0)
    retries = getattr(getattr(ti, "task", None), "retries", None)
    return bool(cleared) and retries is not None and tries <= int(getattr(ti, "max_tries", 0)) - int(retries) + 1


def price_per_swap() -> float:
    """Return the configured US dollars for one swap; the service's answers contain no price."""
    return float(conf.getfloat("segmind", "price_per_swap", fallback=PRICE))


def estimated_cost(workflow: str | None) -> float | None:
    """Return the estimated US dollars for one job, or ``None`` if unknown. Never raises: the order is paid for."""
    if not is_body_swap(workflow or ""):
        return None
    try:
        price = price_per_swap()
    except Exception:
        log.exception("[segmind] price_per_swap is not a number. Ask your Airflow administrator to set it to a number.")
        return None
    return price if math.isfinite(price) and price >= 0 else None
