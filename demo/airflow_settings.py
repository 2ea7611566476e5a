"""The environment of a local Airflow: small, fast, on loopback, and deaf to any other Airflow's settings."""

from __future__ import annotations

import base64
import os
import random
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below the ports that kernels give away by themselves, so that nobody is handed ours before the server binds it.
_PORTS = range(20000, 30000)
_FOREIGN = ("AIRFLOW", "SEGMIND_API_KEY", "_AIRFLOW", "PYTEST_")
FIXED = {
    "core__parallelism": "4",
    "core__load_examples": "False",
    "core__simple_auth_manager_all_admins": "True",
    "core__test_connection": "Enabled",
    "api__host": LOOPBACK,
    "api__workers": "1",
    "api__log_fetch_timeout_sec": "2",
    "api__default_wrap": "True",
    "usage_data_collection__enabled": "False",
    "scheduler__scheduler_idle_sleep_time": "0.2",
    "scheduler__scheduler_heartbeat_sec": "1",
    "scheduler__job_heartbeat_sec": "1",
    "scheduler__trigger_timeout_check_interval": "2",
    "scheduler__orphaned_tasks_check_interval": "10",
    "triggerer__job_heartbeat_sec": "1",
    "triggerer__triggerer_health_check_threshold": "15",
    "dag_processor__refresh_interval": "2",
    "dag_processor__bundle_refresh_check_interval": "1",
    "dag_processor__min_file_process_interval": "10",
    "dag_processor__parsing_processes": "1",
}
"""Options by section and name."""


def variables(options: Mapping[str, str]) -> dict[str, str]:
    """Return options by section and name as environment variables."""
    return {f"AIRFLOW__{name}".upper(): value for name, value in options.items()}


def free_port() -> int:
    """Return a TCP port on loopback that nobody uses at this moment."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError("No free TCP port on loopback: a hundred were tried.")


def past_proxies(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which a company's proxy is not asked for loopback, beside an environment's own."""
    return {name: ",".join(filter(None, [env.get(name), LOOPBACK, "localhost"])) for name in ("NO_PROXY", "no_proxy")}


def airflow_environment(home: Path, dags_folder: Path, port: int, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the complete environment of every component: without another Airflow's variables, and any live API key."""
    base = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    url = f"http://{LOOPBACK}:{port}"
    options = {
        **FIXED,
        "core__dags_folder": str(dags_folder),
        "core__fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "core__simple_auth_manager_passwords_file": str(home / "passwords.json"),
        "core__execution_api_server_url": f"{url}/execution/",
        # SQLite has one writer at a time. By default the others give up after five seconds, which ends a triggerer.
        # Not much more: where a person marks or clears a task, Airflow can lock itself out for so long.
        "database__sql_alchemy_conn": f"sqlite:///{home / 'airflow.db'}?timeout=15",
        "api__port": str(port),
        "api__base_url": url,
        "api__secret_key": secrets.token_urlsafe(48),
        "api_auth__jwt_secret": secrets.token_urlsafe(48),
        "logging__base_log_folder": str(home / "logs"),
    }
    return {
        **base,
        **past_proxies(base),
        **variables(options),
        "AIRFLOW_HOME": str(home),
        "PYTHONUNBUFFERED": "1",
        "SCARF_ANALYTICS": "false",
        "DO_NOT_TRACK": "1",
        **extra,
    }
