"""What can be seen of Airflow on this machine, if there is one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import requests

from airflow_provider_segmind import __version__

_SECONDS = 10.0
"""Seconds that all looks may take."""


def has_airflow(environment: Mapping[str, str]) -> bool:
    """Whether somebody has set up an Airflow here; its import would make one."""
    home = Path(environment.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return (home / "airflow.cfg").exists() or any(name.startswith("AIRFLOW__") for name in environment)


def airflow_here() -> list[str]:
    """Return what is seen, as sentences that say what to do."""
    if not has_airflow(os.environ):
        return ["There is no Airflow: neither an airflow.cfg nor a variable AIRFLOW__…."]
    looks = (_versions, _records, _gallery, _triggerer, _memory)
    said: list[str] = []

    def work() -> None:
        said.extend(map(_seen, looks))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    return [*said, *(f"{_topic(look)}: no answer in {_SECONDS:.0f} s." for look in looks[len(said) :])]


def _seen(look: Callable[[], str]) -> str:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - a report, whatever is wrong; without words that may name a bucket
        return f"{_topic(look)}: it cannot be used, or not be seen from here ({type(error).__name__})."


def _topic(look: Callable[[], str]) -> str:
    return look.__name__.strip("_").capitalize()


def _versions() -> str:
    from importlib.metadata import version

    names = ("apache-airflow", "apache-airflow-providers-http", "apache-airflow-providers-common-compat")
    return (
        f"Versions: airflow-provider-segmind {__version__}, {', '.join(f'{name} {version(name)}' for name in names)}."
    )


def _triggerer() -> str:
    from airflow_provider_segmind.compat import conf

    base = conf.get("api", "base_url", fallback="") or ""
    if not base:
        return "Triggerer: [api] base_url is not set, so Airflow cannot be asked for its health. Look into its UI."
    health = requests.get(f"{base.rstrip('/')}/api/v2/monitor/health", timeout=5, allow_redirects=False).json()
    state = str((health.get("triggerer") or {}).get("status"))[:20]
    advice = "" if state == "healthy" else " Start `airflow triggerer`, or set [segmind] default_deferrable = False."
    return f"Triggerer: {state if state.isalpha() else 'unknown'}.{advice}"


def _records() -> str:
    from airflow_provider_segmind.compat import AIRFLOW_V_3_3_PLUS

    if AIRFLOW_V_3_3_PLUS:
        return "Records of orders: Airflow's task state store is there."
    return "Records of orders: this Airflow has no task state store. Set [segmind] memory, or retries=0 for submits."


def _memory() -> str:
    from airflow_provider_segmind.memory.store import store

    memory = store()
    if memory is None:
        return "Memory: [segmind] memory is not set."
    memory.check()
    return "Memory: [segmind] memory can be written, and creates an object only once."


def _gallery() -> str:
    from airflow_provider_segmind.compat import conf

    roots = conf.get("segmind", "gallery_roots", fallback="")
    return (
        f"Gallery: [segmind] gallery_roots is {'set' if roots.strip() else 'not set, so it shows no stored pictures'}."
    )
