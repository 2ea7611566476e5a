"""What a swap costs, as far as anyone but the bill knows."""

from __future__ import annotations

import logging
import math

from airflow_provider_segmind.api.workflows import is_body_swap
from airflow_provider_segmind.compat import conf

log = logging.getLogger(__name__)


def price_per_swap() -> float:
    """Return US dollars for one swap, as the administrator says; the service names no price in its answers."""
    return float(conf.getfloat("segmind", "price_per_swap", fallback=0.2687))


def estimated_cost(workflow: str | None) -> float | None:
    """
    Return US dollars for one job, to tell others, or ``None`` where no price is known.

    It raises nothing: what is told about comes after what is paid for.
    """
    if not is_body_swap(workflow or ""):
        return None
    try:
        price = price_per_swap()
    except Exception:
        log.exception("[segmind] price_per_swap is no number: whoever manages Airflow corrects it.")
        return None
    return price if math.isfinite(price) and price >= 0 else None
