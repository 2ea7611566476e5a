"""Who does the swaps: the emulator, started here, or Segmind itself."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import requests

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.client import Client
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.transport import prepare_session
from airflow_provider_segmind.api.workflows import PRICE
from airflow_provider_segmind.emulator import Emulator
from demo.pictures import DOCUMENTED, Order, drawn


@dataclass(frozen=True)
class Service:
    """What the demo needs to know about the other side."""

    title: str
    connection: str  # as JSON; it holds the key, so it belongs in an environment variable only
    order: Callable[[], Order]
    timeout: float  # seconds for all swaps
    bill: Callable[[list[str]], dict[str, float]]  # US dollars by request, as far as that can be found out
    cost_note: str


def emulated(emulator: Emulator) -> Service:
    """Return what a running emulator is to the demo."""

    def bill(request_ids: list[str]) -> dict[str, float]:
        charges = emulator.charges
        return {wanted: sum(one.amount for one in charges if one.request_id == wanted) for wanted in request_ids}

    note = "The costs are what Segmind would have charged, from the emulator's ledger. No money was spent."
    return Service("emulator", json.dumps(emulator.airflow_connection()), drawn, 180.0, bill, note)


def live(secret: str) -> Service | None:
    """Say what a swap of the live API costs, and ask whether to order it; ``None`` if not."""
    before = balance(secret)
    if not _confirmed(before):
        return None

    def bill(request_ids: list[str]) -> dict[str, float]:
        after = balance(secret)
        if after is None or before is None or not request_ids:
            return {}
        return dict.fromkeys(request_ids, (before - after) / len(request_ids))

    connection = json.dumps({"conn_type": "segmind", "password": secret})
    note = "The cost is the difference of the account's balance before and after."
    return Service("live API", connection, lambda: DOCUMENTED, 1800.0, bill, note)


def balance(secret: str) -> float | None:
    """Ask what is left on the account in US dollars, which costs nothing; ``None`` if that cannot be found out."""
    try:
        settings = Settings.from_connection(host=None, password=secret)
        client = Client(settings, prepare_session(requests.Session()))
        return client.run(flow.get_credits(settings, client.auth))
    except SegmindError:
        return None


def _confirmed(before: float | None) -> bool:
    print("SEGMIND_API_KEY is set: this orders ONE swap of the documentation's sample pictures")
    print(f"from the live Segmind API. It costs about ${PRICE:.2f} and cannot be cancelled.")
    print(f"Balance: {'unknown' if before is None else f'${before:.2f}'}.", flush=True)
    if before is not None and before < PRICE:
        print("That does not cover it.")
        return False
    if os.environ.get("YES") == "1":
        return True
    if not sys.stdin.isatty():
        print("There is no terminal to ask on; set YES=1 to go on without a question.")
        return False
    return input("Go on? [y/N] ").strip().lower() in {"y", "yes"}
