"""What a swap costs, as far as anyone but the bill knows."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import conf


def price_per_swap() -> float:
    """Return US dollars for one swap, as the administrator says; the service names no price in its answers."""
    return float(conf.getfloat("segmind", "price_per_swap", fallback=0.2687))
