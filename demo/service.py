"""Who does the swaps: the emulator, started here, or Segmind itself."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import requests

from demo.child import Child
from demo.pictures import DOCUMENTED, Order

LIVE_HOST = "https://api.segmind.com"
PRICE = 0.2687
"""US dollars for one swap, as the product page says."""


class Service(Protocol):
    """What the demo needs to know about the other side."""

    title: str
    cost_note: str
    """One sentence about the costs in the summary."""
    connection: str
    """The Airflow connection as JSON. It holds the key: hand it over in an environment variable only."""
    secret: str
    """The key, so that it can be struck out of whatever is printed."""

    def order(self) -> Order:
        """Return what to swap."""
        ...

    def bill(self, request_ids: list[str]) -> dict[str, float]:
        """Return what each request was charged, in US dollars, as far as that can be found out."""
        ...

    def check(self) -> None:
        """Raise if it is no longer there."""
        ...

    def stop(self) -> None:
        """End whatever was started for it."""
        ...


class EmulatedService:
    """
    The emulator as a child process.

    :param folder: where its log and ready file go.
    :param job_seconds: how long a swap takes: a number, or ``low-high``.
    """

    title = "emulator"
    cost_note = "The costs are what Segmind would have charged, from the emulator's ledger. No money was spent."

    def __init__(self, folder: Path, job_seconds: str) -> None:
        self._ready_file = folder / "emulator.json"
        self._ready_file.unlink(missing_ok=True)
        command = (
            *(sys.executable, "-m", "airflow_provider_segmind.emulator"),
            *("--port", "0", "--job-seconds", job_seconds, "--ready-file", str(self._ready_file)),
        )
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._child = Child("emulator", command, env, folder / "emulator.log")
        self.url = ""
        self.connection = ""
        self.secret = ""

    def start(self, timeout: float = 30.0) -> None:
        """
        Start it and wait until it answers.

        :param timeout: seconds.
        :raises ChildDiedError: it does not come up.
        """
        self._child.start()
        self._child.wait_until_ready(self._ready_file.exists, timeout)
        ready = json.loads(self._ready_file.read_text())
        self._ready_file.unlink()
        self.url, self.secret = ready["url"], ready["api_key"]
        self.connection = json.dumps(
            {
                "conn_type": "segmind",
                "host": self.url,
                "password": self.secret,
                "extra": {"storage_url": self.url, "history_url": self.url},
            }
        )

    def order(self) -> Order:
        """Draw sample photographs; see :class:`Service`."""
        # Pillow takes a while to import, and the live demo draws nothing before it has asked.
        from demo.samples import person, photographs

        return Order(tuple(photographs()), person())

    def bill(self, request_ids: list[str]) -> dict[str, float]:
        """Read the emulator's ledger; see :class:`Service`."""
        answer = requests.get(f"{self.url}/_emulator/charges", timeout=10)
        answer.raise_for_status()
        bill: dict[str, float] = {}
        for charge in answer.json():
            bill[charge["request_id"]] = bill.get(charge["request_id"], 0.0) + charge["amount"]
        return {request_id: bill.get(request_id, 0.0) for request_id in request_ids}

    def check(self) -> None:
        """Raise if the emulator died; see :class:`Service`."""
        self._child.check()

    def stop(self) -> None:
        """End the emulator; see :class:`Service`."""
        self._child.stop(grace=3.0)


@dataclass
class LiveService:
    """
    Segmind itself, with real money.

    :param secret: the API key.
    """

    secret: str
    title: str = "live API"
    cost_note: str = "The cost is the difference of the account's balance before and after."

    def __post_init__(self) -> None:
        self.connection = json.dumps({"conn_type": "segmind", "password": self.secret})
        self.balance_before = self.balance()

    def balance(self) -> float | None:
        """
        Ask what is left on the account, which costs nothing.

        :returns: US dollars, or ``None`` if it cannot be found out.
        """
        for header in ({"Authorization": f"Bearer {self.secret}"}, {"x-api-key": self.secret}):
            try:
                answer = requests.get(
                    f"{LIVE_HOST}/v1/get-user-credits", headers=header, timeout=15, allow_redirects=False
                )
                if answer.ok:
                    credit = answer.json()
                    return float(credit.get("credits", 0)) + float(credit.get("free-credits", 0))
            except (requests.RequestException, ValueError, AttributeError, TypeError):
                return None
        return None

    def order(self) -> Order:
        """Return the one order of the documentation; see :class:`Service`."""
        return DOCUMENTED

    def bill(self, request_ids: list[str]) -> dict[str, float]:
        """Take the bill from the balance, which tells the sum only; see :class:`Service`."""
        after = self.balance()
        if after is None or self.balance_before is None or not request_ids:
            return {}
        share = (self.balance_before - after) / len(request_ids)
        return dict.fromkeys(request_ids, share)

    def check(self) -> None:
        """Do nothing: nobody here can restart Segmind."""

    def stop(self) -> None:
        """Do nothing: nothing was started."""
