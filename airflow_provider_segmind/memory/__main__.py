"""The memory's command line: ``python -m airflow_provider_segmind.memory --help``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

_DESCRIPTION = """\
Ask the memory of swaps, [segmind] memory, what is paid for, and look after it. Nothing here orders a swap."""

_EXAMPLES = """\
examples:
  What a manifest would order now, and what that costs:
    python -m airflow_provider_segmind.memory plan s3://aws_default@catalogue/autumn.csv
  What the last seven days cost, by day and DAG:
    python -m airflow_provider_segmind.memory costs --days 7
  Fetch what is paid for and not stored, and name what is lost:
    python -m airflow_provider_segmind.memory rescue
  Remove all that was made with a person's picture:
    python -m airflow_provider_segmind.memory forget photographs/anna.jpg

It reads Airflow's configuration and connections as the scheduler does: run it where the scheduler or the API server
runs, or set the connections as AIRFLOW_CONN_… variables."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    # Without it, Airflow looks for connections neither in its database nor at a supervisor.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    logging.getLogger("airflow_provider_segmind").setLevel(logging.INFO)

    from airflow_provider_segmind.api.errors import SegmindError

    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except SegmindError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW

    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_segmind.memory",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    plan = commands.add_parser("plan", help="say what a manifest would order, reuse and cost; orders nothing")
    plan.add_argument("manifest", metavar="MANIFEST", help="path or URI, as for BodySwapBatchOperator")
    plan.add_argument("--select-character", default="woman", help="for swaps that do not say it; default: woman")
    plan.add_argument("--workflow", default=BODY_SWAP_WORKFLOW, help=f"default: {BODY_SWAP_WORKFLOW}")
    plan.add_argument("--conn-id", default="segmind_default", help="default: segmind_default")
    plan.set_defaults(run=_plan)

    costs = commands.add_parser("costs", help="what was ordered, reused and wasted, by day and DAG")
    costs.add_argument("--days", type=_days, default=30, help="how many days, today included; default: 30")
    costs.set_defaults(run=_costs)

    rescue = commands.add_parser("rescue", help="fetch what is paid for and not stored, and name what is lost")
    rescue.add_argument("--conn-id", default="segmind_default", help="for orders that do not say it")
    rescue.add_argument("--all", action="store_true", help="read all orders, as after a backup was put back")
    rescue.set_defaults(run=_rescue)

    forget = commands.add_parser("forget", help="remove all that was made with a picture, or made it")
    forget.add_argument("picture", metavar="PICTURE", help="path, URI or URL of the picture, or its SHA-256")
    forget.add_argument("--conn-id", default="segmind_default", help="to read a URL with; default: segmind_default")
    forget.set_defaults(run=_forget)
    return parser


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 3660:
        raise argparse.ArgumentTypeError("it must be a number of days from 1 to 3660")
    return days


def _plan(options: argparse.Namespace) -> int:
    from airflow_provider_segmind.batch.preview import preview
    from airflow_provider_segmind.hooks.segmind import SegmindHook
    from airflow_provider_segmind.memory.store import the_memory

    said = preview(
        the_memory(),
        SegmindHook(options.conn_id),
        options.manifest,
        select_character=options.select_character,
        workflow=options.workflow,
    )
    print(f"to order: {said.orders:,}, for ${said.dollars:,.2f}, in about {_duration(said.seconds)}")
    print(f"reused:   {said.reused:,}")
    if said.unknown:
        print(
            f"unknown:  {said.unknown:,}: another task is sending these orders, or nobody knows whether they were "
            "accepted, or how their jobs ended. Run rescue in ten minutes, then this again."
        )
    return 0


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _costs(options: argparse.Namespace) -> int:
    from airflow_provider_segmind.api.costs import Row
    from airflow_provider_segmind.memory.costs import CostsReader
    from airflow_provider_segmind.memory.store import the_memory

    said = CostsReader(the_memory()).costs(options.days)

    def line(row: Row, day: str, dag_id: str) -> str:
        return (
            f"{day:<10} {row.ordered:>8,} {row.spent:>11,.2f} {row.reused:>8,} {row.saved:>11,.2f} {row.failed:>7,} "
            f"{row.replaced:>9,} {row.lost:>6,} {row.wasted:>10,.2f} {row.unknown:>8,}  {dag_id}"
        )

    print(
        f"{'day (UTC)':<10} {'ordered':>8} {'spent $':>11} {'reused':>8} {'saved $':>11} {'failed':>7} {'replaced':>9} "
        f"{'lost':>6} {'wasted $':>10} {'unknown':>8}  DAG"
    )
    for row in said.rows:
        print(line(row, row.day, row.dag_id))
    print(line(said.total, "all", ""))
    if not said.is_whole:
        print(f"This is {said.read:,} of {said.there:,} orders, which are too many: ask for fewer days.")
    return 0


def _rescue(options: argparse.Namespace) -> int:
    from airflow_provider_segmind.memory.rescue import rescue_all
    from airflow_provider_segmind.memory.store import the_memory

    said = rescue_all(the_memory(), options.conn_id, every=options.all)
    print(f"looked at {said.looked_at:,}: {said.fetched:,} fetched, {said.failed:,} failed, {said.running:,} running")
    for word, names in (("lost", said.lost), ("unknown", said.unknown)):
        for name in names:
            print(f"{word}: {name}")
    return 0


def _forget(options: argparse.Namespace) -> int:
    from airflow_provider_segmind.hooks.segmind import SegmindHook
    from airflow_provider_segmind.memory.copies import PICTURES
    from airflow_provider_segmind.memory.forget import digests_of, forget
    from airflow_provider_segmind.memory.store import the_memory

    said = forget(the_memory(), digests_of(SegmindHook(options.conn_id), options.picture))
    print(f"removed {len(said.orders):,} orders and {said.pictures:,} stored pictures")
    for order in said.orders:
        print(f"  {order}")
    if said.orders:
        print(
            "Segmind keeps its own copies for seven days: ask its support to delete these requests. What the tasks "
            "stored elsewhere, and their XComs, are yours to delete. So is the picture itself: a task that is given it "
            "again orders again."
        )
    if said.unnamed:
        print(f"{said.unnamed:,} orders do not say which pictures they were made of, and were left.")
    for task in said.running:
        print(f"left, since it may be running: {task}. Do this again in ten minutes.")
    for name in said.damaged:
        print(
            f"left, since it is damaged: {name}. It may be of this picture. Put a good copy in its place; or delete it "
            f"and what is called like it below ends/ and {PICTURES}/. Then do this again."
        )
    return 2 if said.running or said.damaged else 0


if __name__ == "__main__":
    sys.exit(main())
