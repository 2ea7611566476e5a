"""
``python -m demo``: the pipeline of body swaps through a real Airflow, with nothing to set up.

Environment variables: ``KEEP=1`` leaves Airflow's UI up, ``DEMO_DIR`` is the output folder (``.demo``),
``SEGMIND_API_KEY`` orders one swap from the live API instead of the emulator, ``YES=1`` does not ask before.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from demo.airflow_rest import AirflowRestError
from demo.bucket import ROOT, Bucket
from demo.child import ChildDiedError
from demo.confirm import confirmed
from demo.interrupts import ignored, raise_on_sigterm
from demo.local_airflow import AirflowTimeoutError, LocalAirflow
from demo.pipeline import Passage, Run, collect, facts, start, watch
from demo.progress import Progress
from demo.service import EmulatedService, LiveService, Service
from demo.summary import LEGEND, dollars, short, table

EXAMPLE_DAGS = Path(__file__).resolve().parent.parent / "example_dags"
PLACES = ("inbox", "photographs", "swaps", "published", "quarantine")
JOB_SECONDS = "6-9"
EMULATED_TIMEOUT = 180.0
LIVE_TIMEOUT = 1800.0
FAILED, REFUSED, INTERRUPTED = 1, 2, 130


def main() -> int:
    """
    Run the demo.

    :returns: the exit code: 0 when every photograph was published, or rejected by a check.
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
    for pattern in ("*-before.*", "*-after.*", "reference.*", "contact-sheet.png", "summary.json"):
        for path in folder.glob(pattern):
            path.unlink()


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


def _bucket(folder: Path, stack: ExitStack) -> Bucket:
    bucket = Bucket(folder)
    stack.callback(_quietly, bucket)
    bucket.start()
    _say(f"A server that speaks S3 is at {bucket.url}, with a bucket for the photographs.")
    return bucket


def _quietly(started: Bucket | EmulatedService | LocalAirflow) -> None:
    # A second Ctrl-C must not cut the clean-up short; it is bounded in time anyway.
    with ignored():
        started.stop()


def _demonstrate(service: Service, folder: Path, stack: ExitStack) -> int:
    began = time.monotonic()
    bucket = _bucket(folder, stack)
    settings = {
        "AIRFLOW_CONN_SEGMIND_DEFAULT": service.connection,
        "AIRFLOW_CONN_AWS_DEFAULT": bucket.connection,
        "AIRFLOW__SEGMIND__GALLERY_ROOTS": ROOT,
    }
    airflow = LocalAirflow(folder / "airflow", EXAMPLE_DAGS, settings)
    stack.callback(_quietly, airflow)
    _say(f"Airflow is starting at {airflow.url}, which takes about half a minute:")
    _say("API server, scheduler with LocalExecutor, DAG processor and triggerer, on SQLite.")
    airflow.start()
    order = service.order()
    airflow.wait_healthy()
    _say(f"Airflow is up after {time.monotonic() - began:.0f} s. Photographs: {len(order.photographs)}.")
    run = start(airflow, bucket, order)
    watch(airflow, run, LIVE_TIMEOUT if isinstance(service, LiveService) else EMULATED_TIMEOUT, Progress())
    collect(airflow, bucket, run, order, service.bill)
    code = _conclude(service, run, folder)
    _say(f"In the bucket: {_places(bucket)}.")
    _say(f"All of it took {time.monotonic() - began:.0f} s.")
    if os.environ.get("KEEP") == "1":
        _keep(airflow, service)
    return code


def _conclude(service: Service, run: Run, folder: Path) -> int:
    # Pillow takes a while to import; by now nobody waits for it.
    from demo.contact_sheet import Row, draw_sheet

    reference = _save(folder / "reference", run.reference)
    rows = [
        Row(
            title=passage.photograph.title,
            facts=f"{passage.outcome}, {passage.seconds:.0f} s, {dollars(passage.cost)}",
            pictures=(
                _save(folder / f"{_plain(passage)}-before", passage.before),
                reference,
                _save(folder / f"{_plain(passage)}-after", passage.after),
            ),
            note=_note(passage),
        )
        for passage in run.passages
    ]
    subtitle = f"Checked, swapped, stored, compared, approved by Apache Airflow ({service.title})"
    sheet = draw_sheet("AI Body Swap", subtitle, rows, folder / "contact-sheet.png")
    (folder / "summary.json").write_text(facts(run))
    print(f"\n{table(run.passages)}\n\n  {LEGEND}\n  {service.cost_note}\n  Contact sheet: {short(sheet)}", flush=True)
    for passage in run.passages:
        if passage.why:
            why = passage.why.replace(service.secret, "***")
            print(f"  {passage.photograph.title}: {why}", flush=True)
    return 0 if run.state == "success" and all(passage.settled for passage in run.passages) else FAILED


def _note(passage: Passage) -> str:
    """Say why there is no picture."""
    check = passage.why.partition(":")[0]
    return f"not ordered: {check}" if check and not passage.request_id else passage.outcome


def _save(path: Path, data: bytes | None) -> Path | None:
    if data is None:
        return None
    kinds = {b"\x89PNG": ".png", b"RIFF": ".webp"}
    target = path.with_suffix(kinds.get(data[:4], ".jpg"))
    target.write_bytes(data)
    return target


def _plain(passage: Passage) -> str:
    return passage.photograph.title.lower().replace(" ", "-").replace("'", "")


def _places(bucket: Bucket) -> str:
    keys = bucket.keys()
    counts = {name: sum(key.startswith(f"{name}/") for key in keys) for name in PLACES}
    return ", ".join(f"{count} in {name}/" for name, count in counts.items())


def _keep(airflow: LocalAirflow, service: Service) -> None:
    print(f"\n  Airflow's UI stays up at {airflow.url} (no login). Ctrl-C stops it.", flush=True)
    print(f"  The swaps, before and after, are at {airflow.url}/plugin/body-swaps.", flush=True)
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
