"""The emulator's command line: ``python -m airflow_provider_segmind.emulator --help``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from airflow_provider_segmind.emulator import settings

if TYPE_CHECKING:
    from airflow_provider_segmind.emulator.faults import Fault
    from airflow_provider_segmind.emulator.server import Emulator
    from airflow_provider_segmind.emulator.state import JobView

_DESCRIPTION = """\
A local Segmind: develop and test DAGs without a key and without a bill.
It speaks the API's wire, counts credits, keeps a ledger of every bill, and paints a real picture for each swap."""

_EXAMPLES = """\
examples:
  Jobs that take 20 seconds, with 5 dollars to spend:
    python -m airflow_provider_segmind.emulator --job-seconds 20 --credits 5
  Between 30 and 90 seconds, at most 60 requests a minute, only x-api-key honoured:
    python -m airflow_provider_segmind.emulator --job-seconds 30-90 --requests-per-minute 60 --auth x-api-key
  The second submit is accepted and billed, but its answer is lost; every poll gets a 502 three times:
    python -m airflow_provider_segmind.emulator --fault drop-after:submit:1,after=1 --fault 502-html:poll:3
  Some drawn photographs to try things with:
    python -m airflow_provider_segmind.emulator samples photographs/

while it runs:
  http://HOST:PORT/                          the newest jobs with their pictures
  GET  /_emulator/{state,charges,requests,jobs}
  POST /_emulator/{faults,clear-faults,outage,set,reset}   with JSON, for example {"credits": 0} to set
  GET  /samples/{scene,person}/N.png         drawn photographs to use as inputs"""
_PROGRAMS_ONLY = ("rate_window",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; ``None``: use the process's arguments."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "samples":
        return _write_samples(options.directory)
    if not options.allow_remote and not settings.is_loopback(options.host):
        parser.error(f"{options.host} can be reached from elsewhere; say --allow-remote if that is meant")
    chosen = {setting.name: vars(options)[setting.name] for setting in _options()}
    try:
        settings.Settings(**chosen)
    except ValueError as problem:
        parser.error(str(problem))
    return _serve(options, chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_segmind.emulator",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_listening(parser)
    _add_settings(parser)
    _add_faults(parser)
    commands = parser.add_subparsers(dest="command", title="other commands")
    drawn = commands.add_parser("samples", help="write some drawn photographs and end")
    drawn.add_argument("directory", type=Path, help="where to; made if it is not there")
    return parser


def _add_listening(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=int, default=8765, help="port to listen on; 0: a free one (%(default)s)")
    add("--allow-remote", action="store_true", help="allow an address that others can reach; there is no protection")
    add(
        "--name",
        action="append",
        default=[],
        help="a host name under which others reach it, as its service's name in docker compose; may be repeated",
    )
    add("--like", type=Path, metavar="CASSETTE", help="answer as the service that the doctor has recorded")
    add("--ready-file", type=Path, help="write url, api_key and pid to this file as JSON once listening")
    add("--quiet", action="store_true", help="no line for each submit and each finished job")


def _options() -> list[settings.Described]:
    return [setting for setting in settings.described() if setting.name not in _PROGRAMS_ONLY]


def _add_settings(parser: argparse.ArgumentParser) -> None:
    for name, hint, default, meaning in _options():
        option, shown = name.replace("_", "-"), _lower(meaning)
        if hint is bool:
            parser.add_argument(f"--no-{option}", dest=name, action="store_false", help=shown)
            continue
        kinds = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
        how: dict[str, Any] = {"type": kinds[0]}
        if get_origin(hint) is Literal:
            how = {"choices": kinds}
        elif len(kinds) > 1:
            how = {"type": _seconds, "metavar": "N|LOW-HIGH"}
        if default is not None:
            shown += " (%(default)s)"
        parser.add_argument(f"--{option}", default=default, help=shown, **how)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].removesuffix(".")


def _add_faults(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="KIND[:ON[:TIMES]][,FIELD=VALUE…]",
        help="something that goes wrong; ON: submit, poll, credits, upload, history, file; TIMES: a number or forever; "
        "FIELD: after, request_id, seconds, body, status; an unknown KIND lists those known; may be repeated",
    )


def _seconds(text: str) -> float | tuple[float, float]:
    low, _, high = text.partition("-")
    return (float(low), float(high)) if high else float(low)


def _fault(text: str) -> Fault:
    from airflow_provider_segmind.emulator.faults import Fault

    head, *fields = text.split(",")
    kind, on, times, *_ = [*head.split(":"), "", ""]
    data: dict[str, Any] = {"kind": kind}
    if on:
        data["on"] = on
    if times:
        data["times"] = None if times == "forever" else int(times)
    casts = {"after": int, "status": int, "seconds": float}
    for field in fields:
        name, _, value = field.partition("=")
        data[name] = casts.get(name, str)(value)
    try:
        return Fault.from_mapping(data)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


def _serve(options: argparse.Namespace, chosen: dict[str, Any]) -> int:
    from airflow_provider_segmind.emulator.server import Emulator

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    announce = None if options.quiet else _log
    if options.like:  # what is not said is as in the cassette
        chosen = {name: chosen[name] for name, _, default, _ in _options() if chosen[name] != default}
    try:
        emulator = Emulator(
            options.host, options.port, names=options.name, announce=announce, like=options.like, **chosen
        )
    except (OSError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 1
    try:
        emulator.start()
    except OSError as problem:
        print(f"cannot listen on {options.host}:{options.port}: {problem.strerror}", file=sys.stderr)
        return 1
    emulator.script(*options.fault)
    _greet(emulator)
    if options.ready_file:
        _announce_ready(options.ready_file, emulator)
    ended.wait()
    emulator.stop()
    print(f"Ended. Jobs billed: {len(emulator.charges)}.", flush=True)
    return 0


def _greet(emulator: Emulator) -> None:
    print(f"Segmind emulator: {emulator.url}   (open it in a browser to see the jobs; Ctrl-C ends)")
    print(f"API key:          {emulator.api_key}\n")
    print("For Airflow:")
    print(f"  export AIRFLOW_CONN_SEGMIND_DEFAULT='{json.dumps(emulator.airflow_connection())}'\n", flush=True)


def _announce_ready(path: Path, emulator: Emulator) -> None:
    # Moved into place complete, since other processes wait for the file to appear.
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps({"url": emulator.url, "api_key": emulator.api_key, "pid": os.getpid()}))
    partial.replace(path)


def _log(event: str, job: JobView) -> None:
    how = f"{job.status}, {job.polls} polls" if event == "finished" else job.workflow
    print(f"{datetime.now():%H:%M:%S} {event:9} {job.request_id}  {how}", flush=True)


def _write_samples(directory: Path) -> int:
    from airflow_provider_segmind.emulator import samples

    directory.mkdir(parents=True, exist_ok=True)
    for kind in get_args(samples.Kind):
        for number in range(4):
            path = directory / f"{kind}-{number}.{'png' if number < 3 else 'jpg'}"
            path.write_bytes(samples.draw(kind, number, "PNG" if number < 3 else "JPEG"))
            print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
