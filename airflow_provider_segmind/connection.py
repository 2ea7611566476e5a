"""Turn an Airflow connection into checked settings, in the same way for a worker and a triggerer."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook, Connection
from airflow.sdk.log import mask_secret

from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    SegmindError,
    TransportError,
)
from airflow_provider_segmind.api.models import KNOWN_EXTRAS, Settings
from airflow_provider_segmind.api.urls import is_loopback
from airflow_provider_segmind.compat import AirflowNotFoundException, async_connection
from airflow_provider_segmind.get_provider_info import get_provider_info

log = logging.getLogger(__name__)

LOOKUP_PAUSES = (1.0, 4.0)
"""Seconds between attempts: during a short outage of secrets backend or API, Airflow reports a missing connection."""


def load_settings(conn_id: str) -> Settings:
    """
    Look up a connection on a worker.

    :raises AuthenticationError: there is no such connection, or it has no key.
    :raises InvalidRequestError: one of its values cannot be used.
    :raises TransportError: Airflow cannot look it up now.
    """
    for pause in (*LOOKUP_PAUSES, None):
        try:
            connection = BaseHook.get_connection(conn_id)
        except Exception as error:  # noqa: BLE001 - secrets backends raise any type
            failed = _not_found(conn_id, error)
        else:
            return settings_of(connection, connection.extra_dejson, conn_id)
        if pause is None:
            break
        time.sleep(pause)
    raise failed


async def aload_settings(conn_id: str) -> Settings:
    """Look up a connection in a triggerer, once and without blocking its loop; raises like ``load_settings``."""
    try:
        connection, extra = await async_connection(conn_id)
    except Exception as error:  # noqa: BLE001 - secrets backends raise any type
        raise _not_found(conn_id, error) from None
    return settings_of(connection, extra, conn_id)


def settings_of(connection: Connection, extra: Mapping[str, Any], conn_id: str) -> Settings:
    """Return the checked settings of a connection, and have Airflow mask its key in all logs."""
    if connection.conn_type not in (None, "", "segmind"):
        # Otherwise a person who may name the connection could have the password of any connection sent.
        raise InvalidRequestError(
            f"Connection '{conn_id}' has the type {connection.conn_type!r}, so its password is sent to nobody: name a "
            "connection of type 'segmind'."
        )
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
            f"Connection '{conn_id}': verify is {settings.verify!r}, and there is no such CA bundle on this machine. "
            "Set verify in the connection to the path of a CA bundle that every worker and triggerer has."
        )
    return settings


def _not_found(conn_id: str, error: Exception) -> SegmindError:
    """Return the error for a failed lookup, without the original message, which may contain a secret."""
    if isinstance(error, AirflowNotFoundException):
        return missing(conn_id)
    return TransportError(
        f"Airflow cannot look up connection '{conn_id}' now ({type(error).__name__}). If it lasts, check the secrets "
        "backend and Airflow's API server."
    )


def missing(conn_id: str) -> AuthenticationError:
    """Return the error for a connection that does not exist."""
    return AuthenticationError(
        f"There is no connection '{conn_id}'. Create it with connection type 'segmind' and the API key as its "
        "password, or ask your Airflow administrator to create it."
    )


def ui_field_behaviour() -> dict[str, Any]:
    """Return how the form shows the standard fields, with the key names that a hook's method uses."""
    behaviour = _connection_type()["ui-field-behaviour"]
    return {name.replace("-", "_"): value for name, value in behaviour.items()}


def widgets() -> dict[str, Any]:
    """Return the form's own fields as widgets."""
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import StringField

    return {
        name: StringField(lazy_gettext(spec["label"]), description=spec["description"], widget=BS3TextFieldWidget())
        for name, spec in _connection_type()["conn-fields"].items()
    }


def _connection_type() -> dict[str, Any]:
    found: dict[str, Any] = get_provider_info()["connection-types"][0]
    return found
