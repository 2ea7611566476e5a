"""Pictures of body swaps in Airflow's own UI. Every Airflow process imports this, so it imports next to nothing."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_segmind import __version__

PREFIX = "/segmind"
NAME = "Body swaps"  # also the name under which the browser finds the component, so the same for all places


class SegmindPlugin(AirflowPlugin):
    """The gallery: what serves it, and the three places where it is shown."""

    name = "segmind"

    @cached_property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """The application; imported when the API server asks for it, since that takes a second or two."""
        from airflow_provider_segmind.gallery.app import app
        from airflow_provider_segmind.gallery.roots import log_refused

        log_refused()
        return [{"app": app, "url_prefix": PREFIX, "name": "Segmind"}]

    @cached_property
    def react_apps(self) -> list[Any]:  # type: ignore[override]
        """The tabs, unless an administrator wants none: before Airflow 3.4 they are on every DAG."""
        from airflow_provider_segmind.compat import conf

        if not conf.getboolean("segmind", "ui_tabs", fallback=True):
            return []
        static = f"{_base()}{PREFIX.lstrip('/')}/static"
        shared = {
            "name": NAME,
            "bundle_url": f"{static}/gallery.js?v={__version__}",  # a browser may keep another version's
            "icon": f"{static}/icon.svg",
            "icon_dark_mode": f"{static}/icon-dark.svg",
        }
        return [
            {**shared, "destination": "nav", "url_route": "body-swaps", "category": "browse"},
            {**shared, "destination": "dag_run", "url_route": "body-swaps-run"},
            {**shared, "destination": "task_instance", "url_route": "body-swaps-task"},
        ]


def _base() -> str:
    """Return what leads to Airflow's own address: nothing, or its path where a bundle's URL cannot be relative."""
    from airflow_provider_segmind.compat import AIRFLOW_V_3_3_PLUS, conf

    if AIRFLOW_V_3_3_PLUS:
        return ""
    return urlsplit(str(conf.get("api", "base_url", fallback="/"))).path.rstrip("/") + "/"
