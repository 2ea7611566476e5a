"""Price of a swap, as configured: only Segmind's bill has the real one."""

from __future__ import annotations

import logging
import math

from airflow_provider_segmind.api.workflows import is_body_swap
from airflow_provider_segmind.compat import conf

log = logging.getLogger(__name__)


def price_per_swap() -> float:
    """Return the configured US dollars for one swap; the service's answers contain no price."""
    return float(conf.getfloat("segmind", "price_per_swap", fallback=0.2687))


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
