"""What the how-to guides have a reader do works: their files are read, their DAGs run, against the emulator."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.manifest import read_manifest
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.hooks.segmind import SegmindHook
from tests.docs.home import Home
from tests.docs.pages import ROOT, Block, blocks

HOW_TO = ROOT / "docs" / "how-to"


def block_of(page: str, language: str, containing: str = "") -> Block:
    """Return the one block of a page in a language that has these words."""
    (found,) = (one for one in blocks(language) if one.page == HOW_TO / f"{page}.md" and containing in one.code)
    return found


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, emulator: Emulator) -> Home:
    return Home(tmp_path / "home", emulator)


def pictures(emulator: Emulator, number: int = 0) -> dict[str, str]:
    """Return the two pictures of a swap."""
    return {
        "character_image": emulator.sample("scene", number),
        "reference_character_image": emulator.sample("person"),
    }


def rows(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of JSON Lines."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_secrets_backend_of_the_page_gives_connections_that_work(tmp_path: Path, emulator: Emulator) -> None:
    given = block_of("connection", "ini", "backend_kwargs").code
    connections = json.loads(block_of("connection", "json", "segmind_studio").code)
    for connection in connections.values():
        connection |= {"host": emulator.url, "password": emulator.api_key}
    file = tmp_path / "connections.json"
    file.write_text(json.dumps(connections))
    options = dict(re.findall(r"^(\w+) = (.*)$", given, re.MULTILINE))
    kwargs = dict.fromkeys(json.loads(options["backend_kwargs"]), str(file))
    program = (
        "from airflow_provider_segmind.hooks.segmind import SegmindHook\n"
        "print(*(SegmindHook(name).test_connection() for name in {}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program.format(list(connections))],
        env={
            **os.environ,
            "AIRFLOW__SECRETS__BACKEND": options["backend"],
            "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps(kwargs),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.count("(True, 'The key works at") == len(connections) > 1, done.stdout + done.stderr


def test_the_manifests_of_the_page_are_read() -> None:
    for language in ("csv", "jsonl"):
        swaps = read_manifest(block_of("batches", language).code.encode(), f"a.{language}", select_character="woman")
        assert [swap.id for swap in swaps][-1] == "tuesday"
        assert swaps[0].character_image == "s3://aws_default@catalogue/monday.jpg"


def test_the_approval_shows_a_task_that_its_dag_has() -> None:
    block = block_of("approval", "python", "swap_preview")
    made: dict[str, Any] = {"__name__": "docs_approval"}
    exec(compile(block.code.replace(":\n\n    @task\n", " as dag:\n\n    @task\n", 1), str(block), "exec"), made)  # noqa: S102
    (shown,) = re.findall(r'swap_preview\("([\w.]+)"\)', block.code)
    assert shown in made["dag"].task_ids


@pytest.mark.slow
def test_the_result_of_a_paid_order_is_fetched_without_another_bill(
    home: Home, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(emulator.airflow_connection()))
    job = SegmindHook().submit("678b67a76426baad7e539337-v4", pictures(emulator))
    kept = tmp_path / "kept"
    home.run(block_of("money", "python", "fetch_a_paid_swap"), {"request_id": job.request_id, "destination": str(kept)})
    assert [path.suffix for path in kept.rglob("body_swap_image*") if path.suffix == ".png"] == [".png"]
    assert len(emulator.charges) == 1


@pytest.mark.slow
def test_what_failed_is_ordered_again_and_nothing_else(home: Home, emulator: Emulator, tmp_path: Path) -> None:
    manifest, results = tmp_path / "swaps.csv", tmp_path / "results"
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*pictures(emulator), "id"])
        writer.writeheader()
        writer.writerows({**pictures(emulator, number), "id": f"look-{number}"} for number in range(3))
    conf = {"manifest": str(manifest), "results": str(results), "size": 2}
    home.run(block_of("batches", "python", "swaps_in_parts"), conf)
    parts = sorted(results.glob("*.jsonl"))
    assert [len(rows(part)) for part in parts] == [2, 1]
    assert {row["status"] for part in parts for row in rows(part)} == {"COMPLETED"}
    assert set(json.loads(block_of("batches", "json").code)) == set(rows(parts[0])[0])
    assert len(emulator.charges) == 3

    changed = [{**row, "status": status} for row, status in zip(rows(parts[0]), ("FAILED", "COMPLETED"), strict=True)]
    parts[0].write_text("".join(f"{json.dumps(row)}\n" for row in changed))
    home.run(block_of("batches", "python", "order_what_failed"), {"results": str(parts[0])})
    (second,) = rows(Path(f"{parts[0]}.second.jsonl"))
    assert (second["id"], second["status"]) == ("look-0", "COMPLETED")
    assert len(emulator.charges) == 4
