"""A secrets backend that counts how often Airflow is really asked for a connection."""

from __future__ import annotations

from collections import Counter

from airflow.sdk import Connection
from airflow.sdk.bases.secrets_backend import BaseSecretsBackend

counted: Counter[str] = Counter()


class CountingBackend(BaseSecretsBackend):
    """
    Gives every connection id the same server.

    :param host: the server's URL.
    """

    def __init__(self, host: str) -> None:
        super().__init__()
        self._host = host

    def get_connection(self, conn_id: str, team_name: str | None = None) -> Connection | None:
        """Return the connection, and count it."""
        counted[conn_id] += 1
        return Connection(conn_id=conn_id, conn_type="segmind", host=self._host, password="SG_0123456789abcdef")  # noqa: S106 - the benchmark's own server takes any
