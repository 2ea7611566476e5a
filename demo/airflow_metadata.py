"""Airflow's metadata database, read from outside and never written."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any


def read_sqlite(path: Path, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """
    Run one query on a SQLite database that others write to.

    :param path: the database file; it must exist.
    :param sql: a SELECT.
    :param parameters: values for its question marks.
    :returns: the rows, each by column name.
    :raises sqlite3.OperationalError: the query is wrong, or tries to write.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, parameters)]
