"""Who may see what of the gallery: Airflow's own application and cookie, and a real database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_segmind.plugin import SegmindPlugin
from tests.plugin.world import PNG, World, swaps

Api = Callable[..., Any]


def routes() -> Iterator[Any]:
    (entry,) = SegmindPlugin().fastapi_apps
    yield from entry["app"].routes


def test_only_static_files_are_open_to_everybody(api: Api) -> None:
    """A route that is written later is among these, and cannot be forgotten."""
    nobody, asked = api(None), []
    for route in routes():
        if getattr(route, "name", "") == "static":
            continue
        changes = route.methods - {"GET", "HEAD"}
        assert not changes or (changes, route.name) == ({"PUT"}, "decide"), f"{route.path} could change something"
        path = route.path.replace("{slot}", "after").replace("{index}", "0").replace("{map_index}", "-1")
        for name in ("dag_id", "run_id", "task_id"):
            path = path.replace(f"{{{name}}}", "open")
        assert "{" not in path
        for method in route.methods:
            assert nobody.request(method, f"/segmind{path}").status_code == 401, path
            assert api(None, token="no.real.token").request(method, f"/segmind{path}").status_code == 403, path
        asked.append(path)
    assert len(asked) == 8
    assert not [
        path for path in ("/docs", "/openapi.json", "/redoc") if nobody.get(f"/segmind{path}").status_code == 200
    ]


def test_scripts_styles_and_icons_are_there_with_their_types(api: Api) -> None:
    nobody = api(None)
    for name, kind in [("gallery.js", "javascript"), ("gallery.css", "text/css"), ("icon.svg", "image/svg+xml")]:
        answer = nobody.get(f"/segmind/static/{name}")
        assert answer.status_code == 200
        assert kind in answer.headers["content-type"]
    assert nobody.get("/segmind/static/../app.py").status_code in (401, 404)
    assert nobody.get("/segmind/static/%2e%2e/app.py").status_code == 404


def test_a_part_of_a_file_is_not_cut_out(api: Api) -> None:
    """The starlette that Airflow 3.1 holds spends seconds on a Range of very many parts."""
    answer = api(None).get("/segmind/static/gallery.js", headers={"Range": "bytes=0-0," * 1000})
    assert answer.status_code == 200
    assert "content-range" not in answer.headers


def test_a_viewer_of_some_dags_sees_their_swaps_only(api: Api, world: World) -> None:
    uri = world.file("a.png", PNG)
    hers = world.swap({"after": uri, "cost": 1.0}, "open_one")
    other = world.swap({"after": uri, "cost": 10.0}, "closed_one")
    for user in ("vera", "xena"):
        client = api(user)
        said = swaps(client)
        assert [swap["dag_id"] for swap in said["swaps"]] == ["open_one"]
        assert (said["total"], said["spent"], said["dag_ids"]) == (1, 1.0, ["open_one"])
        assert client.get("/segmind/swaps", params={"dag_id": "closed_one"}).status_code == 403
        assert client.get(f"/segmind/image/{hers}/after").status_code == 200
        assert client.get(f"/segmind/image/{other}/after").status_code == 403
        assert client.get(f"/segmind/items/{other}").status_code == 403
        assert client.get(f"/segmind/items/{other}/0/after").status_code == 403
    assert swaps(api("admin"))["spent"] == 11.0


def test_a_path_in_a_query_does_not_change_which_dag_is_asked_for(vera: Any, world: World) -> None:
    """The path's DAG is the one that is authorised, and the one that is read."""
    other = world.swap({"after": world.file("a.png", PNG)}, "closed_one")
    assert vera.get(f"/segmind/image/{other}/after", params={"dag_id": "open"}).status_code == 403


def test_the_plugin_is_loaded_without_an_error(api: Api) -> None:
    admin = api("admin")
    errors = admin.get("/api/v2/plugins/importErrors").json()["import_errors"]
    assert errors == []
    (plugin,) = [one for one in admin.get("/api/v2/plugins").json()["plugins"] if one["name"] == "segmind"]
    assert [tab["destination"] for tab in plugin["react_apps"]] == ["nav", "dag_run", "task_instance"]
    assert len({tab["url_route"] for tab in plugin["react_apps"]}) == 3


def test_an_administrator_can_have_no_tabs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__UI_TABS", "False")
    assert SegmindPlugin().react_apps == []
    monkeypatch.setenv("AIRFLOW__SEGMIND__UI_TABS", "True")
    assert len(SegmindPlugin().react_apps) == 3
