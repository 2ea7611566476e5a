"""Polling from a worker, in the sensors' poke and reschedule modes."""

from __future__ import annotations

import time
from typing import Any

from airflow_provider_segmind.api.errors import AuthenticationError, SegmindError
from airflow_provider_segmind.api.flow import Pause
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.patience import Watch
from airflow_provider_segmind.hooks.segmind import SegmindHook


class Pokes:
    """
    Pokes of one sensor; a connection that cannot be looked up for a while does not end a wait that has begun.

    :param found: whether an earlier poke, maybe in another process, has found the connection.
    """

    def __init__(self, conn_id: str, log: Any, *, found: bool) -> None:
        self._conn_id = conn_id
        self._log = log
        self._found = found
        self._hook: SegmindHook | None = None

    def ask(self, watch: Watch) -> Job | Pause | None:
        """Ask for the job, and once more at the deadline; return ``None`` if the next poke must find the connection."""
        hook = self._connected(watch)
        if hook is None:
            return None
        try:
            seen = hook.poke(watch)
            if not isinstance(seen, Job) and time.time() >= watch.deadline:
                # Take the last look now: after this poke Airflow ends the wait, without asking and without our message.
                seen = hook.poke(watch)
        except AuthenticationError:
            self._hook = None  # the key may have changed: look it up again, once
            fresh = self._connected(watch)
            if fresh is None or fresh.settings == hook.settings:
                raise
            return None
        return seen

    def _connected(self, watch: Watch) -> SegmindHook | None:
        if self._hook is None:
            hook = SegmindHook(self._conn_id)
            try:
                _ = hook.settings
            except SegmindError as error:
                # Its secret may be out of reach, or somebody edits it right now.
                if not (self._found and time.time() < watch.deadline):
                    raise
                self._log.warning("The next poke looks the connection up again: %s", error)
                return None
            self._hook, self._found = hook, True
        return self._hook
