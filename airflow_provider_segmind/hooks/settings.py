"""From an Airflow connection to checked settings, the same for a worker and a triggerer."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook, Connection
from airflow.sdk.log import mask_secret

from airflow_provider_segmind.api.errors import AuthenticationError, InvalidRequestError
from airflow_provider_segmind.api.models import KNOWN_EXTRAS, Settings, is_loopback
from airflow_provider_segmind.hooks.compat import AirflowNotFoundException, async_connection, conf

log = logging.getLogger(__name__)

_OPERATORS = "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE"


def waits_deferred(deferrable: bool | None) -> bool:
    """
    Return whether a task waits in a triggerer.

    Airflow ships ``[operators] default_deferrable = False`` in each new airflow.cfg, so there it says nothing about
    what somebody wants. As an environment variable it was set on purpose.

    :param deferrable: what the DAG's author says; ``None`` for what the administrator says, which is yes by default.
    """
    if deferrable is not None:
        return deferrable
    section = "operators" if _OPERATORS in os.environ else ""
    if conf.get("segmind", "default_deferrable", fallback=""):
        section = "segmind"
    return not section or bool(conf.getboolean(section, "default_deferrable"))


def load_settings(conn_id: str) -> Settings:
    """
    Look a connection up, on a worker.

    :raises AuthenticationError: when there is no such connection, or it has no key.
    :raises InvalidRequestError: when one of its values cannot be used.
    """
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise missing(conn_id) from None
    return settings_of(connection, connection.extra_dejson, conn_id)


async def aload_settings(conn_id: str) -> Settings:
    """
    Look a connection up, in a triggerer, without blocking its loop.

    :raises AuthenticationError: when there is no such connection, or it has no key.
    :raises InvalidRequestError: when one of its values cannot be used.
    """
    try:
        connection, extra = await async_connection(conn_id)
    except AirflowNotFoundException:
        raise missing(conn_id) from None
    return settings_of(connection, extra, conn_id)


def settings_of(connection: Connection, extra: Mapping[str, Any], conn_id: str) -> Settings:
    """Make settings of a connection, and have Airflow mask its key wherever it may be printed."""
    unknown = sorted(set(extra) - KNOWN_EXTRAS)
    if unknown:
        log.warning(
            "Connection '%s' has extras that are not known and do nothing: %s. Known are: %s.",
            conn_id,
            ", ".join(unknown),
            ", ".join(sorted(KNOWN_EXTRAS)),
        )
    settings = Settings.from_connection(
        host=connection.host,
        password=connection.password,
        schema=connection.schema,
        port=connection.port,
        extra=extra,
        conn_id=conn_id,
    )
    mask_secret(settings.api_key)
    base = urlsplit(settings.base_url)
    if base.scheme == "http" and not is_loopback(base.hostname or ""):
        log.warning(
            "Connection '%s' sends pictures unencrypted to %s, since its extra emulator_host says that an emulator is "
            "there: use no real person's.",
            conn_id,
            base.netloc,
        )
    if isinstance(settings.verify, str) and not Path(settings.verify).exists():
        raise InvalidRequestError(
            f"Connection '{conn_id}': verify is {settings.verify!r}, and there is no such CA bundle on this machine: "
            "whoever manages the connection gives a path that every worker and triggerer has."
        )
    return settings


def missing(conn_id: str) -> AuthenticationError:
    """Return the error for a connection that does not exist."""
    return AuthenticationError(
        f"There is no connection '{conn_id}': whoever manages Airflow creates it with connection type 'segmind' "
        "and the API key as its password."
    )
