"""Plugin for the gallery in Airflow's UI. Every Airflow process imports this module, so it imports very little."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_segmind import __version__

PREFIX = "/segmind"
NAME = "Body swaps"  # the browser finds the component by this name, so all places use it


class SegmindPlugin(AirflowPlugin):
    """The gallery: its application, and the three places that show it."""

    name = "segmind"

    @cached_property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """The application; imported only when the API server asks for it, because the import takes a second or two."""
        from airflow_provider_segmind.gallery.app import app
        from airflow_provider_segmind.gallery.roots import log_refused

        log_refused()
        return [{"app": app, "url_prefix": PREFIX, "name": "Segmind"}]

    @cached_property
    def react_apps(self) -> list[Any]:  # type: ignore[override]
        """The tabs, unless the administrator turned them off: before Airflow 3.4 they are on every DAG."""
        from airflow_provider_segmind.compat import conf

        if not conf.getboolean("segmind", "ui_tabs", fallback=True):
            return []
        static = f"{_base()}{PREFIX.lstrip('/')}/static"
        shared = {
            "name": NAME,
            "bundle_url": f"{static}/gallery.js?v={__version__}",  # a browser may cache another version
            "icon": f"{static}/icon.svg",
            "icon_dark_mode": f"{static}/icon-dark.svg",
        }
        return [
            {**shared, "destination": "nav", "url_route": "body-swaps", "category": "browse"},
            {**shared, "destination": "dag_run", "url_route": "body-swaps-run"},
            {**shared, "destination": "task_instance", "url_route": "body-swaps-task"},
        ]


def _base() -> str:
    """Return the prefix of a bundle's URL: empty, or Airflow's own path before 3.3, where it cannot be relative."""
    from airflow_provider_segmind.compat import AIRFLOW_V_3_3_PLUS, conf

    if AIRFLOW_V_3_3_PLUS:
        return ""
    return urlsplit(str(conf.get("api", "base_url", fallback="/"))).path.rstrip("/") + "/"
