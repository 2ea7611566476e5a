"""The gallery in Airflow's own API application, on a real metadata database, as users with different rights see it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.metadata import copy_database
from tests.plugin.world import World

Browse = Callable[..., Any]

_SETTINGS = {
    "AIRFLOW__CORE__AUTH_MANAGER": "tests.plugin.some_dags.SomeDags",
    "AIRFLOW__API_AUTH__JWT_SECRET": "the tests' own secret, which is long enough for the algorithm: 0123456789abcdef",
    "AIRFLOW__API__SECRET_KEY": "another one of the tests' own",
}


@pytest.fixture(scope="module")
def api() -> Iterator[Callable[[str | None], Any]]:
    """Return a function that returns a client of Airflow's API: signed in as a user, or as nobody."""
    copy_database(Path(os.environ["AIRFLOW_HOME"]) / "airflow.db")
    with pytest.MonkeyPatch.context() as settings, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Airflow and its packages deprecate is theirs
        for name, value in {**_SETTINGS, "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": _passwords()}.items():
            settings.setenv(name, value)
        from airflow.api_fastapi.app import create_app, get_auth_manager, purge_cached_app
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
        from fastapi.testclient import TestClient

        purge_cached_app()
        app = create_app(apps="core")

        def client(user: str | None, token: str | None = None, role: str = "viewer", **more: Any) -> Any:
            role = "admin" if user == "admin" else role
            if user is not None:
                token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=user, role=role, **more))
            return TestClient(app, cookies={"_token": token} if token else None, base_url="http://testserver")

        yield client
        purge_cached_app()


def _passwords() -> str:
    return str(Path(os.environ["AIRFLOW_HOME"]) / "gallery-passwords.json")


@pytest.fixture
def vera(api: Callable[..., Any]) -> Any:
    """Return a client of a viewer who may read the DAGs called ``open…`` only."""
    return api("vera")


@pytest.fixture
def world(api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(Path(os.environ["AIRFLOW_HOME"]) / "airflow.db", tmp_path / "shown")
    made.folder.mkdir()
    monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", f"file://{made.folder}, s3://bucket/looks")
    yield made
    made.clear()
