"""Swaps in a real metadata database, written past Airflow, so that thousands of them take no time."""

from __future__ import annotations

import functools
import json
import sqlite3
import uuid
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BUNDLE = "gallery-tests"
PNG = b"\x89PNG\r\n\x1a\n and pixels"
JPEG = b"\xff\xd8\xff\xe0 and pixels"
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 "


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

    def swap(self, value: Any, dag_id: str = "open", **where: Any) -> str:
        """Write a record, and return the path of its picture, without the slot."""
        self.swaps([(value, {"dag_id": dag_id, **where})])
        place = {"run_id": "r1", "task_id": "swap", "map_index": -1, **where}
        return f"{dag_id}/{place['run_id']}/{place['task_id']}/{place['map_index']}"

    def swaps(self, values: Iterable[tuple[Any, dict[str, Any]]]) -> None:
        """Write many records."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            dags: set[str] = set()
            for value, where in values:
                place = {"dag_id": "open", "run_id": "r1", "task_id": "swap", "map_index": -1, **where}
                at = place.pop("at", None) or datetime.now(UTC)
                place.setdefault("key", "body_swap")
                if place["dag_id"] not in dags:
                    self._dag(connection, place["dag_id"])
                    dags.add(place["dag_id"])
                run = self.runs.setdefault((place["dag_id"], place["run_id"]), len(self.runs) + 1000)
                row = {"value": json.dumps(value), "dag_run_id": run, **place}
                insert(connection, "xcom", timestamp=at.strftime("%Y-%m-%d %H:%M:%S.%f"), **row)

    def task(self, state: str, **where: Any) -> None:
        """Write a task instance."""
        place = {"dag_id": "open", "run_id": "r1", "task_id": "swap", "map_index": -1, **where}
        with closing(sqlite3.connect(self.database)) as connection, connection:
            insert(connection, "task_instance", id=uuid.uuid4().hex, state=state, **place)

    def run(self, state: str, dag_id: str = "open", run_id: str = "r1") -> None:
        """Write a DAG run; its swaps are to be there already."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            insert(connection, "dag_run", id=self.runs[dag_id, run_id], dag_id=dag_id, run_id=run_id, state=state)

    def file(self, name: str, data: bytes) -> str:
        """Write a file into the folder, and return its URI."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return f"file://{path}"

    def forget(self, dag_id: str) -> None:
        """Forget the swaps of one DAG."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("DELETE FROM xcom WHERE dag_id = ?", (dag_id,))

    def clear(self) -> None:
        """Forget all that was written."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            for table in ("xcom", "task_instance", "dag_run", "dag"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608
        self.runs.clear()

    def _dag(self, connection: sqlite3.Connection, dag_id: str) -> None:
        insert(connection, "dag_bundle", name=BUNDLE)
        insert(connection, "dag", dag_id=dag_id, bundle_name=BUNDLE, fileloc=f"{dag_id}.py", relative_fileloc="a.py")


def swaps(client: Any, **wanted: Any) -> dict[str, Any]:
    """Return what a client gets of the list of swaps."""
    answer = client.get("/segmind/swaps", params=wanted)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


@functools.cache
def required_columns(database: str, table: str) -> tuple[str, ...]:
    """Return the columns of a table that want a value; its schema does not change while tests run."""
    with closing(sqlite3.connect(database)) as connection:
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    return tuple(name for _, name, _, required, default, _ in columns if required and default is None)


def insert(connection: sqlite3.Connection, table: str, **values: Any) -> None:
    """Insert a row, with zeros where the table wants a value that no test looks at."""
    for name in required_columns(str(connection.execute("PRAGMA database_list").fetchone()[2]), table):
        values.setdefault(name, 0)
    names = ", ".join(values)
    marks = ", ".join("?" for _ in values)
    connection.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))  # noqa: S608
