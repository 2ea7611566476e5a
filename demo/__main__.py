"""
``python -m demo``: the pipeline of body swaps through a real Airflow, with nothing to set up.

Environment variables: ``KEEP=1`` leaves Airflow's UI up, ``DEMO_DIR`` is the output folder (``.demo``),
``SEGMIND_API_KEY`` orders one swap from the live API instead of the emulator, ``YES=1`` does not ask before.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from airflow_provider_segmind.emulator import Emulator
from demo.airflow_rest import AirflowRestError
from demo.bucket import ROOT, Bucket
from demo.child import ChildDiedError
from demo.interrupts import handled, raise_on_sigterm
from demo.local_airflow import LocalAirflow
from demo.pictures import Order, fetch, file_name
from demo.pipeline import Passage, collect, play, progress, start
from demo.service import Service, emulated, live

EXAMPLE_DAGS = Path(__file__).resolve().parent.parent / "example_dags"
PLACES = ("inbox", "photographs", "swaps", "published", "quarantine")
FAILED, REFUSED, INTERRUPTED = 1, 2, 130
SECRET = os.environ.get("SEGMIND_API_KEY", "")


def main() -> int:
    """Run the demo, and return the exit code: 0 when every photograph was published, or rejected by a check."""
    raise_on_sigterm()
    folder = Path(os.environ.get("DEMO_DIR") or ".demo")
    started = ExitStack()
    try:
        try:
            return _demonstrate(folder, started)
        finally:
            # A second Ctrl-C must not cut the clean-up short; it is bounded in time anyway.
            with handled(signal.SIG_IGN):
                started.close()
    except (AirflowRestError, ChildDiedError, OSError) as error:
        return _give_up(FAILED, str(error))
    except KeyboardInterrupt:
        return _give_up(INTERRUPTED, "Interrupted; everything is stopped.")


def _give_up(code: int, why: str) -> int:
    print(f"\n{_hidden(why)}", file=sys.stderr)
    return code


def _hidden(text: str) -> str:
    return text.replace(SECRET, "***") if SECRET else text


def _demonstrate(folder: Path, started: ExitStack) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    lock = started.enter_context((folder / ".lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _give_up(REFUSED, f"Another demo is using {folder}/. Set DEMO_DIR to another folder.")
    # Otherwise a demo that fails would seem to have made the pictures of the one before.
    shutil.rmtree(folder / "airflow", ignore_errors=True)
    for pattern in ("*-before.*", "*-after.*", "reference.*", "contact-sheet.png"):
        for path in folder.glob(pattern):
            path.unlink()
    if not SECRET:
        emulator = started.enter_context(Emulator(job_seconds=(6.0, 9.0)))
        say(f"An emulator of Segmind is at {emulator.url}/; a swap there takes some seconds and costs nothing.")
        return _play(emulated(emulator), folder, started)
    service = live(SECRET)
    return _play(service, folder, started) if service else _give_up(REFUSED, "Nothing was ordered.")


def _play(service: Service, folder: Path, started: ExitStack) -> int:
    began = time.monotonic()
    bucket = started.enter_context(Bucket())
    say(f"A server that speaks S3 is at {bucket.url}, with a bucket for the photographs.")
    settings = {
        "AIRFLOW_CONN_SEGMIND_DEFAULT": service.connection,
        "AIRFLOW_CONN_AWS_DEFAULT": bucket.connection,
        "AIRFLOW__SEGMIND__GALLERY_ROOTS": ROOT,
    }
    airflow = LocalAirflow(folder / "airflow", EXAMPLE_DAGS, settings)
    say(f"Airflow is starting at {airflow.url}, which takes about half a minute:")
    say("API server, scheduler with LocalExecutor, DAG processor and triggerer, on SQLite.")
    started.enter_context(airflow)
    order = service.order()
    airflow.wait_healthy()
    say(f"Airflow is up after {time.monotonic() - began:.0f} s. Photographs: {len(order.scenes)}.")
    run_id = start(airflow, bucket, order)
    state = play(airflow, run_id, service.timeout, on_progress=progress(list(order.scenes)))
    passages = collect(airflow, bucket, run_id, order)
    _conclude(service, order, passages, folder)
    keys = bucket.keys()
    counts = {place: sum(key.startswith(f"{place}/") for key in keys) for place in PLACES}
    say(f"In the bucket: {', '.join(f'{count} in {place}/' for place, count in counts.items())}.")
    say(f"All of it took {time.monotonic() - began:.0f} s.")
    if os.environ.get("KEEP") == "1":
        _keep(airflow)
    return 0 if state == "success" and all(passage.settled for passage in passages) else FAILED


def _conclude(service: Service, order: Order, passages: list[Passage], folder: Path) -> None:
    # Pillow takes a while to import; by now nobody waits for it.
    from demo.contact_sheet import Row, draw_sheet

    reference = _save(folder / "reference", fetch(order.person))
    costs = service.bill([passage.request_id for passage in passages if passage.request_id])
    rows = []
    print()
    for passage in passages:
        cost = costs.get(passage.request_id) if passage.request_id else 0.0
        price = "unknown" if cost is None else f"${cost:.4f}"
        say(f"{passage.title:16}  {passage.outcome:20}  {price:>8}  {passage.seconds:5.1f} s")
        if passage.why:
            say(f"{'':16}  {_hidden(passage.why)}")
        base = folder / file_name(passage.title)
        pictures = (_save(f"{base}-before", passage.before), reference, _save(f"{base}-after", passage.after))
        note = passage.outcome if passage.request_id else f"not ordered: {passage.why.partition(';')[0]}"
        rows.append(Row(passage.title, f"{passage.outcome}, {passage.seconds:.0f} s, {price}", pictures, note))
    if costs:
        say(f"{'total':38}  {f'${sum(costs.values()):.4f}':>8}")
    print()
    say(service.cost_note)
    subtitle = f"Checked, swapped, stored, compared, approved by Apache Airflow ({service.title})"
    draw_sheet("AI Body Swap", subtitle, rows, folder / "contact-sheet.png")
    say(f"Contact sheet: {folder / 'contact-sheet.png'}")


def _save(path: Path | str, data: bytes | None) -> bytes | None:
    if data is not None:
        kind = {b"\x89PNG": "png", b"RIFF": "webp"}.get(data[:4], "jpg")
        Path(f"{path}.{kind}").write_bytes(data)
    return data


def _keep(airflow: LocalAirflow) -> None:
    print()
    say(f"Airflow's UI stays up at {airflow.url} (no login). Ctrl-C stops it.")
    say(f"The swaps, before and after, are at {airflow.url}/plugin/body-swaps.")
    try:
        while True:
            airflow.check()
            time.sleep(1)
    except KeyboardInterrupt:
        print("\n  Stopping.", flush=True)


def say(text: str) -> None:
    """Print a line at once."""
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
