"""The pictures of a batch as Segmind can read them: each file is uploaded once, and only as the memory knows it."""

from __future__ import annotations

import asyncio

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.submitter import Submitter
from airflow_provider_segmind.batch.recall import BatchMemory
from airflow_provider_segmind.files.pictures import Readable, is_url, read_picture


class Uploads:
    """
    Uploads of one batch.

    :param prepare: ``auto`` or ``never``.
    :param memory: the memory of swaps, if it is used.
    """

    def __init__(self, submitter: Submitter, prepare: str, memory: BatchMemory | None) -> None:
        self._submitter = submitter
        self._prepare = prepare
        self._memory = memory
        self._begun: dict[str, asyncio.Task[Readable]] = {}

    async def readable(self, name: str, uri: str) -> Readable:
        """
        Return a picture at a URL; upload it only once, even if several swaps use it.

        :raises LostClaimError: the file is another than that by which the swap was looked up; look it up again.
        """
        if is_url(uri):
            return Readable(uri)
        if uri not in self._begun:
            self._begun[uri] = asyncio.get_running_loop().create_task(self._upload(name, uri))
        return await self._begun[uri]

    async def _upload(self, name: str, uri: str) -> Readable:
        picture = await asyncio.to_thread(read_picture, name, uri, self._prepare)
        if self._memory is not None:
            try:
                self._memory.check_unchanged(uri, picture.data)
            except Exception:
                del self._begun[uri]  # the next one reads it again
                raise
        url = await self._submitter.free(
            lambda client: flow.upload(client.settings, client.auth, picture.data, picture.media_type)
        )
        return Readable(url, picture.done)
