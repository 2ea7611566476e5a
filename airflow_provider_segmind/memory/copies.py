"""Copy the pictures of a job that is done into the memory, as long as Segmind keeps them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from airflow_provider_segmind.api import memory, rescue
from airflow_provider_segmind.api.errors import JobExpiredError, SegmindError
from airflow_provider_segmind.api.media import FORMATS
from airflow_provider_segmind.api.memory import KEPT, Read, Replace
from airflow_provider_segmind.api.models import Output
from airflow_provider_segmind.api.remembered import Stored, SwapRecord
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.files.download import download
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.store import Store

PICTURES = "pictures"
"""The folder of the stored pictures."""
_SUFFIXES = {known.media_type: known.suffix for known in FORMATS}


def fetch(where: Store, hook: SegmindHook, record: SwapRecord, outputs: Sequence[Output]) -> None:
    """
    Store the pictures of a job that is done which have no copy yet.

    :param outputs: what the job made, with the URLs as Segmind gives them.
    :raises Exception: one cannot be fetched or stored.
    """
    copies, failure = copied(where, hook, record, record.outputs, outputs)
    note(where, record, rescue.fetched(record, copies), copies)
    if failure is not None:
        raise failure


def note(where: Store, record: SwapRecord, steps: memory.Steps[bool], copies: Sequence[Stored]) -> None:
    """Note copies; delete them again if their order was forgotten while they were fetched."""
    if not where.run(steps) and where.do(Read(record.name)) is None:
        for one in copies:
            if one.uri.startswith(f"{PICTURES}/"):
                where.delete(one.uri)


def copied(
    where: Store, hook: SegmindHook, record: SwapRecord, known: Sequence[Stored], outputs: Sequence[Output]
) -> tuple[tuple[Stored, ...], Exception | None]:
    """Copy all pictures that can be had now; return what is kept then, and why others could not be copied."""
    copies: list[Stored] = []
    failure: Exception | None = None
    for number, (one, output) in enumerate(zip(known, outputs, strict=False)):
        copies.append(one)
        if rescue.is_unstored(one):
            try:
                copies[-1] = _copy(where, hook, record, number, one, output.url)
            except JobExpiredError as error:
                is_old = time.time() - (record.ended_at or record.order.at) > KEPT
                failure = error if is_old else _not_believed(error, output.url)
            except Exception as error:  # noqa: BLE001 - the other pictures and the URL of this one are kept first
                failure = error
    return (*copies, *known[len(copies) :]), failure


def _not_believed(error: JobExpiredError, url: str) -> SegmindError:
    # One server of the host may not have it yet. Not an error of the service either, which would end a rescue.
    return SegmindError(
        f"{shown(url)} is not there now, but Segmind keeps a picture for seven days. A rescue asks for it again; "
        "reuse='refresh' orders it anew, at its price.",
        status=error.status,
    )


def _copy(where: Store, hook: SegmindHook, record: SwapRecord, number: int, known: Stored, url: str) -> Stored:
    found = download(hook, url)
    name = f"{PICTURES}/{record.key[:2]}/{record.key}.{record.number}.{number}{_SUFFIXES[found.media_type]}"
    where.do(Replace(name, found.data))
    return replace(known, uri=name, sha256=found.sha256, size=len(found.data))
