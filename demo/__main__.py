"""
``python -m demo``: body swaps through a real Airflow, with nothing to set up.

Environment variables: ``KEEP=1`` leaves Airflow's UI up, ``DEMO_DIR`` is the output folder (``.demo``),
``SEGMIND_API_KEY`` orders one swap from the live API instead of the emulator, ``YES=1`` does not ask before.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from demo.airflow_rest import AirflowRestError
from demo.child import ChildDiedError
from demo.confirm import confirmed
from demo.interrupts import ignored, raise_on_sigterm
from demo.local_airflow import AirflowTimeoutError, LocalAirflow
from demo.progress import Progress
from demo.service import EmulatedService, LiveService, Service
from demo.summary import LEGEND, dollars, short, table
from demo.swaps import Swap, collect, order, watch

EXAMPLE_DAGS = Path(__file__).resolve().parent.parent / "example_dags"
JOB_SECONDS = "6-9"
EMULATED_TIMEOUT = 180.0
LIVE_TIMEOUT = 1800.0
FAILED, REFUSED, INTERRUPTED = 1, 2, 130


def main() -> int:
    """
    Run the demo.

    :returns: the exit code: 0 when every swap succeeded.
    """
    raise_on_sigterm()
    folder = Path(os.environ.get("DEMO_DIR") or ".demo")
    folder.mkdir(parents=True, exist_ok=True)
    secret = os.environ.get("SEGMIND_API_KEY", "")
    with ExitStack() as stack:
        lock = stack.enter_context((folder / ".lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _forget_last_time(folder)
            service: Service = _live_service(secret) if secret else _emulated_service(folder, stack)
            return _demonstrate(service, folder, stack)
        except BlockingIOError:
            return _give_up(REFUSED, f"Another demo is using {folder}/. Set DEMO_DIR to another folder.", secret)
        except _RefusedError as error:
            return _give_up(REFUSED, str(error), secret)
        except (AirflowRestError, AirflowTimeoutError, ChildDiedError, OSError) as error:
            return _give_up(FAILED, str(error), secret)
        except KeyboardInterrupt:
            return _give_up(INTERRUPTED, "Interrupted; everything is stopped.", secret, stack)


class _RefusedError(Exception):
    """The demo must not start."""


def _give_up(code: int, why: str, secret: str, stack: ExitStack | None = None) -> int:
    if stack:
        stack.close()
    print(f"\n{why.replace(secret, '***') if secret else why}", file=sys.stderr)
    return code


def _forget_last_time(folder: Path) -> None:
    # Otherwise a demo that fails would seem to have made the pictures of the one before.
    shutil.rmtree(folder / "airflow", ignore_errors=True)
    for path in (*folder.glob("swap-*"), folder / "contact-sheet.png", folder / "summary.json"):
        path.unlink(missing_ok=True)


def _live_service(secret: str) -> LiveService:
    service = LiveService(secret)
    if not confirmed(service.balance_before):
        raise _RefusedError("Nothing was ordered.")
    return service


def _emulated_service(folder: Path, stack: ExitStack) -> EmulatedService:
    service = EmulatedService(folder, JOB_SECONDS)
    stack.callback(_quietly, service)
    service.start()
    _say(f"An emulator of Segmind is at {service.url}; a swap there takes {JOB_SECONDS} s and costs nothing.")
    return service


def _quietly(started: EmulatedService | LocalAirflow) -> None:
    # A second Ctrl-C must not cut the clean-up short; it is bounded in time anyway.
    with ignored():
        started.stop()


def _demonstrate(service: Service, folder: Path, stack: ExitStack) -> int:
    began = time.monotonic()
    airflow = LocalAirflow(folder / "airflow", EXAMPLE_DAGS, {"AIRFLOW_CONN_SEGMIND_DEFAULT": service.connection})
    stack.callback(_quietly, airflow)
    _say(f"Airflow is starting at {airflow.url}, which takes about half a minute:")
    _say("API server, scheduler with LocalExecutor, DAG processor and triggerer, on SQLite.")
    airflow.start()
    photographs = folder / "photographs"
    photographs.mkdir(exist_ok=True)
    pairs = service.pairs(photographs)
    airflow.wait_healthy()
    _say(f"Airflow is up after {time.monotonic() - began:.0f} s. DAG runs: {len(pairs)}.")
    swaps = order(airflow, pairs)
    watch(airflow, swaps, LIVE_TIMEOUT if isinstance(service, LiveService) else EMULATED_TIMEOUT, Progress())
    code = _conclude(airflow, service, swaps, folder)
    print(f"\n  All of it took {time.monotonic() - began:.0f} s.", flush=True)
    if os.environ.get("KEEP") == "1":
        _keep(airflow, service)
    return code


def _conclude(airflow: LocalAirflow, service: Service, swaps: list[Swap], folder: Path) -> int:
    # Pillow takes a while to import; by now nobody waits for it.
    from demo.contact_sheet import Row, draw_sheet

    collect(airflow, swaps, service.bill, folder)
    rows = [
        Row(
            title=swap.pair.title,
            facts=f"{swap.state}, {swap.seconds:.0f} s, {dollars(swap.cost)}",
            pictures=(swap.before, swap.reference, swap.after),
            note="" if swap.succeeded else swap.state,
        )
        for swap in swaps
    ]
    subtitle = f"Ordered, awaited and fetched by Apache Airflow ({service.title})"
    sheet = draw_sheet("AI Body Swap", subtitle, rows, folder / "contact-sheet.png")
    facts = [
        {"title": swap.pair.title, "run_id": swap.run_id, "request_id": swap.request_id, "state": swap.state,
         "cost": swap.cost, "seconds": round(swap.seconds, 1), "picture": str(swap.after or "")}
        for swap in swaps
    ]  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(f"\n{table(swaps)}\n\n  {LEGEND}\n  {service.cost_note}\n  Contact sheet: {short(sheet)}", flush=True)
    for number, swap in enumerate(swaps, start=1):
        if not swap.succeeded:
            reason = swap.reason.replace(service.secret, "***")
            print(f"\nSwap {number} ({swap.pair.title}) did not succeed. {reason}", file=sys.stderr)
    return 0 if all(swap.succeeded for swap in swaps) else FAILED


def _keep(airflow: LocalAirflow, service: Service) -> None:
    print(f"\n  Airflow's UI stays up at {airflow.url} (no login). Ctrl-C stops it.", flush=True)
    if isinstance(service, EmulatedService):
        print(f"  The emulator's page is {service.url}/.", flush=True)
    try:
        while True:
            airflow.check()
            service.check()
            time.sleep(1)
    except KeyboardInterrupt:
        print("\n  Stopping.", flush=True)


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
