"""One examination, from the first request to the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.doctor.bench import Bench
from airflow_provider_segmind.doctor.cassette import Folder
from airflow_provider_segmind.doctor.free import look
from airflow_provider_segmind.doctor.here import airflow_here
from airflow_provider_segmind.doctor.order import Order
from airflow_provider_segmind.doctor.report import Report, judge


def examine(
    settings: Settings,
    out: Path,
    *,
    agree: Callable[[str], bool] | None = None,
    minutes: float = 0.0,
    say: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    here: Callable[[], list[str]] = airflow_here,
) -> Report:
    """
    Find out what the service does, and write ``report.md`` and ``cassette.json``.

    :param out: folder of the examination; a run continues with the order of a run before.
    :param agree: asks the person before an order; ``None``: no order is sent.
    :param minutes: how long to look whether record and picture are still there.
    :param say: prints a line for the person.
    :param here: returns what is seen of Airflow.
    :return: the report, also if it was interrupted with Ctrl-C.
    :raises InvalidRequestError: the folder cannot be used.
    """
    folder = Folder(out)
    try:
        bench = Bench(settings, folder, say=say, clock=clock, sleep=sleep)
    except BaseException:
        folder.close()
        raise
    try:
        order = Order(bench, agree or (lambda _: False))
        try:
            say("Asking for what is free …")
            look(bench)
            _order(bench, order, is_wanted=agree is not None)
            if minutes > 0:
                _report(bench, clock(), [])  # somebody may end the long look below with a kill
            if bench.client.auth.known:
                order.later(minutes)
        except KeyboardInterrupt:
            bench.notes.append("Interrupted. Run it again with --order and the same folder: it goes on.")
        return _report(bench, clock(), here())
    finally:
        bench.close()


def _order(bench: Bench, order: Order, *, is_wanted: bool) -> None:
    """Order, or go on with the order of an earlier run."""
    if order.exists and bench.client.auth.known is None:
        bench.notes.append("The order of an earlier run could not be asked for. Run this again.")
    elif is_wanted:
        order.place()
        order.watch()
    elif order.is_open:
        bench.notes.append(
            "An earlier run's order is not seen to its end. Run this with --order: it goes on, and orders nothing more."
        )


def _report(bench: Bench, at: float, here: Sequence[str]) -> Report:
    """Return the report, and write it and the cassette."""
    report = Report(at, bench.cassette, judge(bench.cassette, bench.skipped), bench.notes, here)
    bench.save()
    try:
        bench.folder.write("report.md", str(report).encode())
    except OSError as error:
        bench.say(f"The report cannot be written ({error.strerror}).")
    return report
