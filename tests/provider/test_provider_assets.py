"""DAGs that are scheduled on assets see what was stored, as Airflow itself keeps it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias
from sqlalchemy import create_engine, text

from airflow_provider_segmind.compat import ALIAS_EXTRAS_NEST
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.observability.assets import MAX_EVENTS, Stored, announce
from tests.airflow_fork import airflow
from tests.metadata import copy_database

DAG = """
from airflow.sdk import DAG, Asset, AssetAlias, get_current_context, task

from airflow_provider_segmind.observability.assets import Stored, announce
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator

PICTURES = {{"character_image": "{scene}", "reference_character_image": "{person}"}}


@task(outlets=[Asset("published"), AssetAlias("pictures")])
def store(number):
    extra = {{"request_id": "r" + str(number), "cost": 0.2687, "seconds": 61.5, "checks": "pass", "sha256": "ab"}}
    announce(get_current_context(), [Stored("s3://out/" + str(number) + ".png?sig=5ecret", extra)])


with DAG(dag_id="announced", schedule=None):
    store(1) >> BodySwapBatchOperator(
        task_id="batch",
        swaps=[PICTURES],
        results_uri="{results}",
        poll_interval=0.1,
        outlets=[Asset("nightly"), AssetAlias("manifests")],
    )
"""


def events(home: Path) -> dict[str, dict[str, Any]]:
    """Return the extra of each asset event in Airflow's database, by the asset's URI."""
    engine = create_engine(f"sqlite:///{home / 'airflow.db'}")
    with engine.connect() as connection:
        query = "select asset.uri, asset_event.extra from asset_event join asset on asset.id = asset_event.asset_id"
        rows = connection.execute(text(query)).all()
    engine.dispose()
    assert len(rows) == len({row[0] for row in rows})
    return {row[0]: json.loads(row[1]) for row in rows}


@pytest.mark.slow
def test_a_real_run_leaves_events_that_say_what_was_stored(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=1)
    pictures = {"scene": emulator.sample("scene"), "person": emulator.sample("person")}
    results = tmp_path / "results.jsonl"
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "announced.py").write_text(DAG.format(**pictures, results=results))
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path / 'airflow.db'}",
    }
    copy_database(tmp_path / "airflow.db")
    # Airflow knows an asset only once the DAG is parsed.
    for words in (("dags", "reserialize"), ("dags", "test", "announced")):
        done = airflow(*words, env=env)
        assert done.returncode == 0, done.stdout[-8000:]
    told = events(tmp_path)
    facts = {"request_id": "r1", "cost": 0.2687, "seconds": 61.5, "checks": "pass", "sha256": "ab"}
    assert told["s3://out/1.png"] == facts
    assert told["published"] == {"uri": "s3://out/1.png", **facts}
    counts = {"total": 1, "completed": 1, "failed": 0, "by_status": {"COMPLETED": 1}, "cost": 0.2687}
    by_status = {} if ALIAS_EXTRAS_NEST else {"by_status": counts["by_status"]}
    assert {**told[results.as_uri()], **by_status} == counts
    assert told["nightly"] == {"uri": results.as_uri(), **counts}


class _Task:
    def __init__(self, *outlets: object) -> None:
        self.outlets = outlets


def announced(stored: list[Stored], *outlets: Any, whole: Stored | None = None) -> Any:
    """Return the events of a task, as the task SDK keeps them until it succeeds."""
    from airflow.sdk.execution_time.context import OutletEventAccessors

    context: Any = {"task": _Task(*outlets), "outlet_events": OutletEventAccessors()}
    announce(context, stored, whole=whole)
    return context["outlet_events"]


def test_several_files_are_one_event_of_an_asset_and_one_each_of_an_alias() -> None:
    asset, alias = Asset("pictures"), AssetAlias("each")
    files = [Stored(f"s3://out/{n}.png", {"request_id": f"r{n}", "checks": None}) for n in (1, 2, 2)]
    told = announced(files, asset, alias)
    assert told[asset].extra == {
        "count": 2,
        "files": [{"uri": f"s3://out/{n}.png", "request_id": f"r{n}"} for n in (1, 2)],
    }
    assert [(event.dest_asset_key.uri, event.extra) for event in told[alias].asset_alias_events] == [
        (f"s3://out/{n}.png", {"request_id": f"r{n}"}) for n in (1, 2)
    ]


@pytest.mark.parametrize(
    ("whole", "uri", "extra"),
    [
        (None, "s3://out/night", {"count": MAX_EVENTS + 1}),
        (Stored("s3://out/all.jsonl", {"failed": 3}), "s3://out/all.jsonl", {"count": MAX_EVENTS + 1, "failed": 3}),
    ],
)
def test_thousands_of_files_are_one_event(whole: Stored | None, uri: str, extra: dict[str, Any]) -> None:
    alias = AssetAlias("each")
    files = [Stored(f"s3://out/night/{number}/a.png") for number in range(MAX_EVENTS + 1)]
    (event,) = announced(files, alias, whole=whole)[alias].asset_alias_events
    assert (event.dest_asset_key.uri, event.extra) == (uri, extra)


def test_what_the_author_has_put_into_an_event_stays() -> None:
    from airflow.sdk.execution_time.context import OutletEventAccessors

    asset, context = Asset("pictures"), {"outlet_events": OutletEventAccessors()}
    context["task"] = _Task(asset)  # type: ignore[assignment]
    context["outlet_events"][asset].extra = {"request_id": "mine"}
    announce(context, [Stored("/data/a.png", {"request_id": "r", "cost": 1.0})])  # type: ignore[arg-type]
    assert context["outlet_events"][asset].extra == {"uri": "file:///data/a.png", "request_id": "mine", "cost": 1.0}


def test_an_outlet_that_cannot_be_told_does_not_fail_the_task(caplog: pytest.LogCaptureFixture) -> None:
    alias = AssetAlias("each")
    told = announced([Stored("airflow://reserved/a.png")], alias, Asset("pictures"))
    assert told[alias].asset_alias_events == []
    assert told[Asset("pictures")].extra == {"uri": "airflow://reserved/a.png"}
    assert "does not say what was stored" in caplog.text


def test_an_extra_that_no_database_can_keep_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    told = announced([Stored("/data/a.png", {"cost": float("nan")})], Asset("pictures"))
    assert len(told) == 0
    assert "do not say what was stored" in caplog.text


def test_without_outlets_or_files_nothing_happens() -> None:
    assert len(announced([Stored("/data/a.png")])) == 0
    assert len(announced([], Asset("pictures"))) == 0
    announce({}, [Stored("/data/a.png")])
