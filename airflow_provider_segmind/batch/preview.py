"""Say what a manifest would order and cost, without ordering anything."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from airflow_provider_segmind.api.manifest import read_manifest
from airflow_provider_segmind.api.memory import Reuse
from airflow_provider_segmind.api.remembered import CLAIMED
from airflow_provider_segmind.api.schedule import PRIOR
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES, check_workflow
from airflow_provider_segmind.batch.published import manifest_bytes
from airflow_provider_segmind.batch.recall import BatchMemory
from airflow_provider_segmind.compat import conf
from airflow_provider_segmind.files.pictures import is_url
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.store import Store
from airflow_provider_segmind.memory.swaps import Remembering
from airflow_provider_segmind.orders.rules import price_per_swap

REQUESTS = 9
"""Requests for one swap: its order, and the polls of a job of usual length."""


@dataclass(frozen=True)
class Preview:
    """
    What a manifest would do now.

    :param orders: swaps to order.
    :param reused: swaps that the memory has, or that are being made.
    :param unknown: swaps whose order is being sent, or of unknown outcome or end.
    :param dollars: what the orders cost.
    :param seconds: how long it takes, roughly.
    """

    orders: int
    reused: int
    unknown: int
    dollars: float
    seconds: float


def preview(
    where: Store, hook: SegmindHook, uri: str, *, select_character: str, workflow: str, prepare: str = "auto"
) -> Preview:
    """
    Read a manifest and its pictures, and look each swap up in the memory.

    :raises SegmindError: the manifest or a picture cannot be read.
    """
    swaps = read_manifest(manifest_bytes(hook, "MANIFEST", uri), uri, select_character=select_character)
    memory = BatchMemory(hook, Remembering(where, Reuse(), {}), swaps, check_workflow(workflow), prepare)
    states = Counter(memory.states(range(len(swaps))))
    orders, unknown = states[None], states[CLAIMED]
    pictures = {getattr(swap, name) for swap in swaps for name in BODY_SWAP_IMAGES}
    uploads = sum(not is_url(uri) for uri in pictures)
    return Preview(
        orders,
        len(swaps) - orders - unknown,
        unknown,
        round(orders * price_per_swap(), 2),
        _seconds(hook, orders, min(uploads, 2 * orders)),
    )


def _seconds(hook: SegmindHook, orders: int, uploads: int) -> float:
    if not orders:
        return 0.0
    pace = hook.settings.requests_per_minute
    concurrency = int(conf.getint("segmind", "submit_concurrency", fallback=8))
    if pace:
        return PRIOR + 60 * (orders * REQUESTS + uploads) / (0.95 * pace)
    return PRIOR + (orders + uploads) / max(1, concurrency)  # a second for each
