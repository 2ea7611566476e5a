"""Who does the swaps: the emulator, started here, or Segmind itself."""

from __future__ import annotations

import json
import os
import sys
from typing import Self

import requests

from airflow_provider_segmind.emulator import Emulator
from demo.pictures import DOCUMENTED, Order, drawn

LIVE_HOST = "https://api.segmind.com"
PRICE = 0.2687
"""US dollars for one swap, as the product page says."""


class EmulatedService:
    """The emulator, in a thread of this process; use it in a ``with`` statement."""

    title = "emulator"
    cost_note = "The costs are what Segmind would have charged, from the emulator's ledger. No money was spent."
    timeout = 180.0

    def __enter__(self) -> Self:
        self._emulator = Emulator(job_seconds=(6.0, 9.0)).start()
        self.url = self._emulator.url
        self.connection = json.dumps(self._emulator.airflow_connection())
        return self

    def __exit__(self, *_: object) -> None:
        self._emulator.stop()

    def order(self) -> Order:
        """Return what to swap."""
        return drawn()

    def bill(self, request_ids: list[str]) -> dict[str, float]:
        """Return what each request was charged, in US dollars."""
        bill = dict.fromkeys(request_ids, 0.0)
        for charge in self._emulator.charges:
            bill[charge.request_id] = bill.get(charge.request_id, 0.0) + charge.amount
        return bill


class LiveService:
    """Segmind itself, with real money, by an API key."""

    title = "live API"
    cost_note = "The cost is the difference of the account's balance before and after."
    timeout = 1800.0

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self.connection = json.dumps({"conn_type": "segmind", "password": secret})
        """It holds the key: hand it over in an environment variable only."""
        self.balance_before = self.balance()

    def balance(self) -> float | None:
        """Ask what is left on the account in US dollars, which costs nothing; ``None`` if that cannot be found out."""
        for header in ({"Authorization": f"Bearer {self._secret}"}, {"x-api-key": self._secret}):
            try:
                url = f"{LIVE_HOST}/v1/get-user-credits"
                answer = requests.get(url, headers=header, timeout=15, allow_redirects=False)
                if answer.ok:
                    credit = answer.json()
                    return float(credit.get("credits", 0)) + float(credit.get("free-credits", 0))
            except (requests.RequestException, ValueError, AttributeError, TypeError):
                return None
        return None

    def confirmed(self) -> bool:
        """Say what one swap costs, and ask whether to order it; ``YES=1`` answers beforehand."""
        before = self.balance_before
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

    def order(self) -> Order:
        """Return the one order of the documentation."""
        return DOCUMENTED

    def bill(self, request_ids: list[str]) -> dict[str, float]:
        """Take the bill from the balance, which tells the sum only."""
        after = self.balance()
        if after is None or self.balance_before is None or not request_ids:
            return {}
        return dict.fromkeys(request_ids, (self.balance_before - after) / len(request_ids))


Service = EmulatedService | LiveService
