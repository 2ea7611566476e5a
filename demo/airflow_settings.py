"""The environment of a local Airflow: small, fast, on loopback, and deaf to any other Airflow's settings."""

from __future__ import annotations

import base64
import json
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


def free_port() -> int:
    """
    Find a TCP port on loopback that nobody uses at this moment.

    :returns: the port.
    :raises OSError: none of a hundred was free.
    """
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError("No free TCP port on loopback: a hundred were tried.")


def load_or_make_secrets(home: Path) -> dict[str, str]:
    """
    Return the keys of an Airflow home, made at random the first time.

    They stay the same for one home, since a metadata database can be read with its own Fernet key only.

    :param home: the Airflow home; it must exist.
    :returns: ``fernet_key``, ``jwt_secret`` and ``secret_key``.
    """
    path = home / "secrets.json"
    if path.exists():
        stored: dict[str, str] = json.loads(path.read_text())
        return stored
    made = {
        "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "jwt_secret": secrets.token_urlsafe(48),
        "secret_key": secrets.token_urlsafe(48),
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(made))
    return made


def past_proxies(env: Mapping[str, str]) -> dict[str, str]:
    """
    Return the variables with which a company's proxy is not asked for our own loopback addresses.

    :param env: an environment, whose own exceptions are kept.
    """
    return {name: ",".join(filter(None, [env.get(name), LOOPBACK, "localhost"])) for name in ("NO_PROXY", "no_proxy")}


def airflow_environment(
    home: Path,
    dags_folder: Path,
    port: int,
    database_url: str,
    extra: Mapping[str, str],
) -> dict[str, str]:
    """
    Build the complete environment of every component.

    :param home: the Airflow home; it must exist.
    :param dags_folder: where the DAGs are.
    :param port: TCP port of the API server.
    :param database_url: SQLAlchemy URL of the metadata database.
    :param extra: variables that win over the ones made here.
    :returns: the environment. Variables of another Airflow in ours are left out, and so is the live API key.
    """
    base = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    keys = load_or_make_secrets(home)
    url = f"http://{LOOPBACK}:{port}"
    base.update(
        AIRFLOW_HOME=str(home),
        PYTHONUNBUFFERED="1",
        SCARF_ANALYTICS="false",
        DO_NOT_TRACK="1",
        **past_proxies(base),
    )
    sections: dict[str, dict[str, str]] = {
        "core": {
            "dags_folder": str(dags_folder),
            "executor": "LocalExecutor",
            "parallelism": "4",
            "load_examples": "False",
            "dags_are_paused_at_creation": "True",
            "fernet_key": keys["fernet_key"],
            "simple_auth_manager_all_admins": "True",
            "simple_auth_manager_passwords_file": str(home / "passwords.json"),
            "execution_api_server_url": f"{url}/execution/",
            "test_connection": "Enabled",
        },
        "database": {"sql_alchemy_conn": database_url},
        "api": {
            "host": LOOPBACK,
            "port": str(port),
            "base_url": url,
            "secret_key": keys["secret_key"],
            "workers": "1",
            "log_fetch_timeout_sec": "2",
        },
        "api_auth": {"jwt_secret": keys["jwt_secret"]},
        "logging": {"base_log_folder": str(home / "logs")},
        "usage_data_collection": {"enabled": "False"},
        "scheduler": {
            "scheduler_idle_sleep_time": "0.2",
            "scheduler_heartbeat_sec": "1",
            "job_heartbeat_sec": "1",
            "trigger_timeout_check_interval": "2",
            "orphaned_tasks_check_interval": "10",
            "enable_health_check": "False",
        },
        "triggerer": {"job_heartbeat_sec": "1", "triggerer_health_check_threshold": "15"},
        "dag_processor": {
            "refresh_interval": "2",
            "bundle_refresh_check_interval": "1",
            "min_file_process_interval": "10",
            "parsing_processes": "1",
        },
    }
    for section, options in sections.items():
        for option, value in options.items():
            base[f"AIRFLOW__{section}__{option}".upper()] = value
    base.update(extra)
    return base
