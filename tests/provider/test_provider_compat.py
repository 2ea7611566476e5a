"""No release of common-compat is needed, and what differs between Airflow's versions is in one module."""

from __future__ import annotations

import ast
import threading
from functools import cache
from pathlib import Path

import pytest
from airflow.sdk import BaseHook, Connection

import airflow_provider_segmind
from airflow_provider_segmind import compat

PACKAGE = Path(airflow_provider_segmind.__path__[0])
MOVED = {"airflow.configuration", "airflow.exceptions", "airflow.sdk.configuration", "airflow.sdk.exceptions"}
"""Where one name is in one of the supported versions and not in another, or warns there."""


@cache
def imported() -> list[tuple[str, str, str]]:
    """Return each import in the package: the file, the module, and the name of it."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        file = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found += [(file, alias.name, "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found += [(file, node.module or "", alias.name) for alias in node.names]
    return found


def test_nothing_is_imported_from_common_compat_whose_oldest_release_has_next_to_nothing() -> None:
    assert [found for found in imported() if found[1].startswith("airflow.providers.common.compat")] == []


def test_only_one_module_knows_what_has_moved() -> None:
    elsewhere = [found for found in imported() if found[0] != "compat.py"]
    moved = [found for found in elsewhere if found[1] in MOVED or found[1:] in {("airflow", "__version__")}]
    # Examples are copied to where they must stand alone.
    assert [found for found in moved if not found[0].startswith("example_dags/")] == []


def test_all_that_it_offers_is_there() -> None:
    assert [name for name in compat.__all__ if not hasattr(compat, name)] == []


class _Connection(Connection):
    async def aextra_dejson(self) -> dict[str, object]:
        return {"from": "the loop"}


class _Source(BaseHook):
    """It looks connections up, and notes in which thread."""

    threads: list[int]

    @classmethod
    def get_connection(cls, conn_id: str) -> Connection:
        cls.threads.append(threading.get_ident())
        return Connection(conn_id=conn_id, conn_type="http", extra='{"from": "a thread"}')

    @classmethod
    async def aget_connection(cls, conn_id: str) -> Connection:
        cls.threads.append(threading.get_ident())
        return _Connection(conn_id=conn_id, conn_type="http")


@pytest.mark.parametrize(("in_loop", "source"), [(True, "the loop"), (False, "a thread")])
async def test_a_connection_is_looked_up_in_the_loop_only_where_that_cannot_block_it(
    in_loop: bool, source: str
) -> None:
    _Source.threads = []
    connection, extra = await compat.async_connection("somewhere", _Source, in_loop=in_loop)
    assert connection.conn_id == "somewhere"
    assert extra == {"from": source}
    (thread,) = _Source.threads
    assert (thread == threading.get_ident()) is in_loop
