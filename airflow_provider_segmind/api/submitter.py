"""Order many jobs inside the request budget that they share with the polls of those ordered before."""

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
"""Seconds after which an intent is too old to be followed by a POST: what looks it up goes by its time."""


class Submitter:
    """
    Sends orders, each with one POST that is repeated only where it provably was not accepted.

    :param clients: gives the client to send with.
    :param poller: has the budget.
    :param clock: tells seconds since the epoch.
    :param pace: how errors are waited out.
    :param sleep: waits so many seconds.
    """

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

    async def submit(self, workflow: str, inputs: Mapping[str, Any], *, intend: Callable[[], Awaitable[None]]) -> Job:
        """
        Order a job.

        :param inputs: checked inputs.
        :param intend: notes the order durably; called right before each POST. After a 429 that may be long after the
            first time, and what looks the order up later goes by when it was noted. And a process that may no longer
            write, since another attempt of its task has taken over, cannot get past it.
        :raises RateLimitError: when no order at all was accepted for five minutes, over all who wait.
        :raises OutcomeUnknownError: when it was sent and the answer never came, or cannot be read.
        :raises SegmindError: when it was refused; nothing was billed.
        """
        errors, began = 0, self._clock()
        while True:
            await self._poller.turn()
            client = await self._clients()
            sent_at = await self._intended(intend)
            try:
                job = await client.run(flow.order(client.settings, client.auth, workflow, inputs))
            except RateLimitError as error:
                self._poller.limited(sent_at, error.retry_after)
                if self._clock() - max(began, self._last_accepted) > flow.PATIENCE:
                    raise
            except TransportError:
                errors += 1
                if errors > flow.MORE_TRIES:
                    raise
                await self._sleep(self._pace.backoff(errors))
            else:
                self._last_accepted = self._clock()
                return job

    async def free(self, call: Callable[[AsyncClient], flow.Flow[T]]) -> T:
        """
        Make a call that is free of charge in the same budget, and again after a 429.

        :param call: returns the flow for a client.
        :raises SegmindError: as the flow does; a 429 only after five minutes of them.
        """
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
        """Note an order, once more if that took so long that the note is old, and return when it was noted."""
        while True:
            began = self._clock()
            await intend()
            if self._clock() - began < FRESH:
                return began
