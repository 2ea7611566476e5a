"""Swaps in a real metadata database, written through the tables of Airflow's models, so that thousands take no time."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.models import xcom
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.team import Team, dag_bundle_team_association_table
from sqlalchemy import Connection, Table, and_, create_engine, delete, insert, select, update

BUNDLE = "gallery-tests"
PNG = b"\x89PNG\r\n\x1a\n and pixels"
JPEG = b"\xff\xd8\xff\xe0 and pixels"
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 "

_DAGS: Table = DagModel.__table__
_RUNS: Table = DagRun.__table__
_TASKS: Table = TaskInstance.__table__
_BUNDLES: Table = DagBundleModel.__table__
_TEAMS: Table = Team.__table__
_OWNED: Table = dag_bundle_team_association_table
# From Airflow 3.4 on, what XComModel reads is no table, and a value belongs to a try of a task.
_XCOMS: Table = getattr(xcom, "XComModelV2", xcom.XComModel).__table__
_INDEX = "region_index" if "region_index" in _TASKS.c else "map_index"

_SWAP = {"dag_id": "open", "run_id": "r1", "task_id": "swap", "map_index": -1}
_DAG = {
    "bundle_name": BUNDLE,
    "relative_fileloc": "a.py",
    "is_paused": True,  # no scheduler may take an interest in its runs
    "max_active_tasks": 1,
    "max_consecutive_failed_dag_runs": 0,
    "has_task_concurrency_limits": False,
}


@dataclass
class World:
    """
    What is in the database.

    :param database: path of the SQLite file.
    :param folder: what ``[segmind] gallery_roots`` names.
    """

    database: Path
    folder: Path
    runs: dict[tuple[str, str], int] = field(default_factory=dict)
    tasks: dict[tuple[str, str, str, int], Any] = field(default_factory=dict)
    teams: set[str] = field(default_factory=set)

    def swap(self, value: Any, dag_id: str = "open", **where: Any) -> str:
        """Write a record, and return the path of its picture, without the slot."""
        place = {**_SWAP, "dag_id": dag_id, **where}
        self.swaps([(value, place)])
        return f"{dag_id}/{place['run_id']}/{place['task_id']}/{place['map_index']}"

    def swaps(self, values: Iterable[tuple[Any, dict[str, Any]]]) -> None:
        """Write many records, and the tasks that say them."""
        said = []
        for value, where in values:
            row = {"key": "body_swap", "at": None, **_SWAP, **where, "value": value}
            row["timestamp"] = row["at"] or datetime.now(UTC)
            row["task_instance_id"], row["dag_run_id"] = self._known(row)
            said.append({name: row[name] for name in row if name in _XCOMS.c})
        with self._open() as connection:
            connection.execute(insert(_XCOMS).prefix_with("OR REPLACE"), said)

    def forget(self, **where: Any) -> None:
        """Delete what a task has said, as Airflow does before its next attempt."""
        task, _ = self._known({**_SWAP, **where})
        said = _XCOMS.c.task_instance_id == task if "task_instance_id" in _XCOMS.c else None
        if said is None:
            place = {**_SWAP, **where}
            said = and_(*(_XCOMS.c[name] == value for name, value in place.items()))
        with self._open() as connection:
            connection.execute(delete(_XCOMS).where(said))

    def task(self, state: str, name: str | None = None, **where: Any) -> None:
        """Give a task instance its state, and the name that its ``map_index_template`` makes."""
        task, _ = self._known({**_SWAP, **where})
        with self._open() as connection:
            values = {"state": state, "rendered_map_index": name}
            connection.execute(update(_TASKS).where(_TASKS.c.id == task).values(values))

    def run(self, state: str, dag_id: str = "open", run_id: str = "r1") -> None:
        """Give a DAG run its state; its swaps are to be there already."""
        with self._open() as connection:
            connection.execute(update(_RUNS).where(_RUNS.c.id == self.runs[dag_id, run_id]).values(state=state))

    def team(self, name: str, *dag_ids: str) -> None:
        """Give DAGs to a team; their swaps are to be there already."""
        bundle = f"{BUNDLE}-{name}"
        new = (
            (_BUNDLES, {"name": bundle}),
            (_TEAMS, {"name": name}),
            (_OWNED, {"dag_bundle_name": bundle, "team_name": name}),
        )
        with self._open() as connection:
            for table, row in new:
                connection.execute(insert(table).prefix_with("OR IGNORE"), row)
            connection.execute(update(_DAGS).where(_DAGS.c.dag_id.in_(dag_ids)).values(bundle_name=bundle))
        self.teams.add(name)

    def file(self, name: str, data: bytes) -> str:
        """Write a file into the folder, and return its URI."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return f"file://{path}"

    def clear(self) -> None:
        """Forget all that was written, whatever else there is."""
        dags = {dag_id for dag_id, _ in self.runs}
        tasks = select(_TASKS.c.id).where(_TASKS.c.dag_id.in_(dags))
        said = _XCOMS.c.dag_id.in_(dags) if "dag_id" in _XCOMS.c else _XCOMS.c.task_instance_id.in_(tasks)
        with self._open() as connection:
            connection.execute(delete(_XCOMS).where(said))
            for table in (_TASKS, _RUNS, _DAGS):
                connection.execute(delete(table).where(table.c.dag_id.in_(dags)))
            if self.teams:
                connection.execute(delete(_OWNED).where(_OWNED.c.team_name.in_(self.teams)))
                connection.execute(delete(_TEAMS).where(_TEAMS.c.name.in_(self.teams)))
        self.runs.clear()
        self.tasks.clear()
        self.teams.clear()

    def _known(self, where: Mapping[str, Any]) -> tuple[Any, int]:
        """Return the ids of a task instance and of its run, which the database is going to have."""
        place = (where["dag_id"], where["run_id"], where["task_id"], where["map_index"])
        run = self.runs.setdefault(place[:2], len(self.runs) + 1000)
        return self.tasks.setdefault(place, _new_id()), run

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        """Return a connection, to a database that has all DAGs, runs and tasks that are known."""
        dags = [{"dag_id": dag_id, "fileloc": f"{dag_id}.py", **_DAG} for dag_id in {dag_id for dag_id, _ in self.runs}]
        when = {"run_type": "manual", "run_after": datetime.now(UTC)}
        runs = [{"id": run, "dag_id": ids[0], "run_id": ids[1], **when} for ids, run in self.runs.items()]
        tasks = [
            {"id": task, "dag_id": dag_id, "run_id": run_id, "task_id": task_id, _INDEX: index, "pool": "default_pool"}
            for (dag_id, run_id, task_id, index), task in self.tasks.items()
        ]
        engine = create_engine(f"sqlite:///{self.database}")
        try:
            with engine.begin() as connection:
                new = ((_BUNDLES, [{"name": BUNDLE}]), (_DAGS, dags), (_RUNS, runs), (_TASKS, tasks))
                for table, rows in new:
                    if rows:
                        connection.execute(insert(table).prefix_with("OR IGNORE"), rows)
                yield connection
        finally:
            engine.dispose()


def _new_id() -> Any:
    """Return an id for a task instance: Airflow 3.1 has texts."""
    return _TASKS.c.id.type.python_type(str(uuid.uuid4()))


def swaps(client: Any, **wanted: Any) -> dict[str, Any]:
    """Return what a client gets of the list of swaps."""
    answer = client.get("/segmind/swaps", params=wanted)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said
