"""Order many jobs inside the request budget that they share with the polls of those ordered before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.errors import RateLimitError, TransportError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.poller import Clients, Poller


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
        :param intend: called once, when it is this order's turn and before anything is sent.
        :raises RateLimitError: when no order at all was accepted for five minutes, over all who wait.
        :raises OutcomeUnknownError: when it was sent and the answer never came, or cannot be read.
        :raises SegmindError: when it was refused; nothing was billed.
        """
        errors, began = 0, self._clock()
        await self._poller.turn()
        await intend()
        while True:
            client = await self._clients()
            sent_at = self._clock()
            try:
                job = await client.run(flow.order(client.settings, client.auth, workflow, inputs))
            except RateLimitError as error:
                self._poller.limited(sent_at, error.retry_after)
                if self._clock() - max(began, self._last_accepted) > flow.PATIENCE:
                    raise
            except TransportError:
                errors += 1
                if errors > flow.TOLERATED_ERRORS:
                    raise
                await self._sleep(self._pace.backoff(errors))
            else:
                self._last_accepted = self._clock()
                return job
            await self._poller.turn()
