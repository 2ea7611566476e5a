"""Order many jobs within the request budget that they share with polls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.aclient import AsyncClient
from airflow_provider_segmind.api.errors import RateLimitError, TransportError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.poller import Clients, Poller

T = TypeVar("T")

FRESH = 10.0
"""Oldest age in seconds of an intent at its POST: the later look-up searches by the intent's time."""


class Submitter:
    """Sends orders with one POST each; repeats only a POST that was provably not accepted."""

    def __init__(
        self,
        clients: Clients,
        poller: Poller,
        *,
        clock: Callable[[], float] = time.time,
        pace: flow.Pace | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clients = clients
        self._poller = poller
        self._clock = clock
        self._pace = pace or flow.Pace()
        self._sleep = sleep
        self._last_accepted = clock()

    async def submit(
        self,
        workflow: str,
        inputs: Mapping[str, Any],
        *,
        intend: Callable[[], Awaitable[None]],
        refused: Callable[[], None] = lambda: None,
    ) -> Job:
        """
        Order a job; the inputs must be checked.

        :param intend: stores the intent; called before each POST. After a 429 the last intent may be old, and the
            look-up searches by its time. It also stops a process whose task another attempt has taken over.
        :param refused: called after each POST that was certainly not accepted, before the pause that follows.
        :raises RateLimitError: if no order at all was accepted for five minutes.
        :raises OutcomeUnknownError: if the order was sent and its answer never came, or cannot be read.
        :raises SegmindError: if the order was refused; nothing was billed.
        """
        errors, began = 0, self._clock()
        while True:
            await self._poller.turn()
            client = await self._clients()
            sent_at = await self._intended(intend)
            try:
                job = await client.run(flow.order(client.settings, client.auth, workflow, inputs))
            except RateLimitError as error:
                refused()
                self._poller.limited(sent_at, error.retry_after)
                if self._clock() - max(began, self._last_accepted) > flow.PATIENCE:
                    raise
            except TransportError:
                refused()
                errors += 1
                if errors > flow.MORE_TRIES:
                    raise
                await self._sleep(self._pace.backoff(errors))
            else:
                self._last_accepted = self._clock()
                return job

    async def free(self, call: Callable[[AsyncClient], flow.Flow[T]]) -> T:
        """Make a free call within the budget, and repeat it after a 429, for five minutes at most."""
        began = self._clock()
        while True:
            await self._poller.turn()
            client = await self._clients()
            sent_at = self._clock()
            try:
                return await client.run(call(client))
            except RateLimitError as error:
                self._poller.limited(sent_at, error.retry_after)
                if self._clock() - began > flow.PATIENCE:
                    raise

    async def _intended(self, intend: Callable[[], Awaitable[None]]) -> float:
        """Store the intent, again if storing it took too long, and return its time."""
        while True:
            began = self._clock()
            await intend()
            if self._clock() - began < FRESH:
                return began
