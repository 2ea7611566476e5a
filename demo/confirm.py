"""Nobody's money is spent without a yes."""

from __future__ import annotations

import os
import sys

from demo.service import PRICE


def confirmed(balance: float | None) -> bool:
    """
    Say what the live demo costs, and ask whether to go on.

    ``YES=1`` in the environment answers beforehand; without it, and without a terminal to ask on, it is a no.

    :param balance: US dollars on the account, or ``None`` if unknown.
    :returns: whether one swap may be ordered.
    """
    print("SEGMIND_API_KEY is set: this orders ONE swap of the documentation's sample pictures")
    print(f"from the live Segmind API. It costs about ${PRICE:.2f} and cannot be cancelled.")
    print(f"Balance: {'unknown' if balance is None else f'${balance:.2f}'}.", flush=True)
    if balance is not None and balance < PRICE:
        print("That does not cover it.")
        return False
    if os.environ.get("YES") == "1":
        return True
    if not sys.stdin.isatty():
        print("There is no terminal to ask on; set YES=1 to go on without a question.")
        return False
    return input("Go on? [y/N] ").strip().lower() in {"y", "yes"}
