"""The doctor's command line: ``python -m airflow_provider_segmind.doctor --help``."""

from __future__ import annotations

import argparse
import getpass
import io
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from airflow_provider_segmind.api.errors import AuthenticationError, InvalidRequestError, SegmindError, TransportError
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.workflows import PRICE
from airflow_provider_segmind.doctor.bench import WRONG_KEY
from airflow_provider_segmind.doctor.here import has_airflow
from airflow_provider_segmind.doctor.run import examine

_DESCRIPTION = f"""\
Find out what Segmind really does, with your key, and what follows for this package.
Without --order it costs nothing and takes less than a minute. With --order it asks, and then orders one body swap of
two drawn pictures for about ${PRICE}: never more than one in a folder, however often it is run or killed."""

_EPILOG = """\
The key: the connection of AIRFLOW_CONN_… or of the Airflow on this machine; else SEGMIND_API_KEY; else it is asked for.
OUT/report.md and OUT/cassette.json have no key, no picture and no other request: attach them to a bug report.
OUT/order.json is the record of the order: keep it to yourself."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if all beliefs hold, 1 if some differ, 2 if it could not run."""
    options = _options(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 still gets the page
    try:
        settings = _settings(options.conn_id, os.environ)
        terminal = sys.stdin.isatty()
        report = examine(
            settings,
            Path(options.out),
            agree=_agree if options.order else None,
            minutes=options.watch if options.watch is not None else math.inf if options.order and terminal else 0.0,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
        print(report, end="")
        print(f"\nThis page is in {options.out}/report.md, what was asked and answered in {options.out}/cassette.json.")
    except BrokenPipeError:  # its reader has seen enough
        sys.stdout = None
        return 2
    except SegmindError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted. Run it again with the same --out: it goes on.", file=sys.stderr)
        return 2
    except Exception as error:  # noqa: BLE001 - what went wrong may have a secret in its words
        print(f"The doctor itself failed ({type(error).__name__}). Run it again, and report this.", file=sys.stderr)
        return 2
    return 1 if report.differs else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m airflow_provider_segmind.doctor",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--conn-id", default="segmind_default", help="Airflow connection to use, if there is one (%(default)s)")
    add("--order", action="store_true", help="also order one swap, after a question, and watch it; or go on with it")
    add("--out", default="segmind-report", help="folder for report and cassette (%(default)s)")
    watch = "how long to look, after the job's end, whether record and picture are still there"
    add("--watch", type=_minutes, metavar="MINUTES", help=f"{watch}; default: until Ctrl-C in a terminal, else once")
    options, unknown = parser.parse_known_args(arguments)
    if unknown:  # it may be a key, so it is not shown
        parser.error("there is an argument that is not known. A key is never one: set SEGMIND_API_KEY")
    return options


def _minutes(text: str) -> float:
    minutes = float(text)
    if not minutes >= 0:  # "nan" is not, either
        raise argparse.ArgumentTypeError("give a number of minutes, 0 or more")
    return minutes


def _settings(conn_id: str, environment: Mapping[str, str]) -> Settings:
    """Return the settings of the connection, or with a key from the environment or the person."""
    name = f"AIRFLOW_CONN_{conn_id.upper()}"
    said = environment.get(name, "")
    if said.lstrip().startswith("{"):
        return _from_json(name, said, conn_id, environment)
    if said or has_airflow(environment):
        os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")  # so that Airflow looks into its database
        from airflow_provider_segmind.connection import load_settings

        try:
            return load_settings(conn_id)
        except (AuthenticationError, TransportError) as error:
            print(f"{error} The key is taken from elsewhere.", file=sys.stderr)
    return Settings.from_connection(host=None, password=_key(environment), conn_id=conn_id)


def _from_json(name: str, said: str, conn_id: str, environment: Mapping[str, str]) -> Settings:
    # Without Airflow, whose import would make a home for it.
    try:
        given = json.loads(said)
        extra = given.get("extra") or {}
        extra = json.loads(extra) if isinstance(extra, str) else extra
        if given.get("conn_type") not in (None, "", "segmind"):
            raise InvalidRequestError(
                f"{name} is of another type, so its password is sent to nobody: use conn_type segmind."
            )
        return Settings.from_connection(
            host=given.get("host"),
            password=given.get("password") or _key(environment),
            schema=given.get("schema"),
            port=given.get("port"),
            extra=extra,
            conn_id=conn_id,
        )
    except SegmindError:
        raise
    except (ValueError, TypeError, AttributeError):
        raise InvalidRequestError(f"{name} is not a connection in JSON: correct it, or remove it.") from None


def _key(environment: Mapping[str, str]) -> str:
    key = environment.get("SEGMIND_API_KEY", "")
    if not key and sys.stdin.isatty():
        try:
            key = getpass.getpass("Segmind API key (nothing is shown; empty for none): ")
        except EOFError:
            key = ""
    if not key.strip():
        print("There is no key: only what needs none is asked. Set SEGMIND_API_KEY for the rest.", file=sys.stderr)
    return key.strip() or WRONG_KEY


def _agree(question: str) -> bool:
    print(question, "Type yes:", file=sys.stderr, end=" ", flush=True)
    try:
        return input().strip().lower() == "yes"
    except EOFError:
        return False


if __name__ == "__main__":
    sys.exit(main())
