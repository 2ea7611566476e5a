"""Forget a person's pictures: remove all that names a picture, and keep only that it was paid for."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from airflow_provider_segmind.api import rescue
from airflow_provider_segmind.api.costs import facts_of
from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.memory import Read, Replace
from airflow_provider_segmind.api.remembered import CLAIMED, ORDERED, SwapRecord, end_name, request_name
from airflow_provider_segmind.files.download import picture_bytes
from airflow_provider_segmind.files.objects import is_remembered
from airflow_provider_segmind.files.pictures import is_url, read_whole
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory import swaps
from airflow_provider_segmind.memory.copies import PICTURES
from airflow_provider_segmind.memory.costs import FORGOTTEN
from airflow_provider_segmind.memory.rescue import records
from airflow_provider_segmind.memory.store import Store, task_folder

log = logging.getLogger(__name__)

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass
class Forgotten:
    """
    What was removed, and what a person has to look after.

    :param orders: each order in words: its request, of whose pictures Segmind keeps copies for seven days, and its
        task, which may have stored copies elsewhere.
    :param pictures: number of stored pictures.
    :param running: orders that may still be running, and were left.
    :param unnamed: orders that do not say which pictures they were made of.
    :param damaged: names of orders that cannot be read, and were left, with all others of the same swap.
    """

    orders: list[str] = field(default_factory=list)
    pictures: int = 0
    running: list[str] = field(default_factory=list)
    unnamed: int = 0
    damaged: list[str] = field(default_factory=list)


def digests_of(hook: SegmindHook, picture: str) -> frozenset[str]:
    """
    Return the digests by which the memory may know a picture: as it is, and as it is sent.

    :param hook: of the connection with which the picture's URL is read.
    :param picture: a path, a URI of object storage, a URL, or a SHA-256.
    :raises SegmindError: it cannot be read.
    """
    if _SHA256.fullmatch(picture.lower()):
        return frozenset({picture.lower()})
    if is_url(picture):
        return frozenset({*swaps.digests_of(hook, "the picture", picture), swaps.digest_of_url(picture)})
    if is_remembered(picture):  # wherever tasks may read their inputs
        return frozenset({hashlib.sha256(picture_bytes(hook, "results", picture)).hexdigest()})
    found = {hashlib.sha256(read_whole("the picture", picture)).hexdigest()}
    with suppress(InvalidRequestError):  # no input that was ever sent
        found.update(swaps.digests_of(hook, "the picture", picture))
    return frozenset(found)


def forget(where: Store, digests: Collection[str]) -> Forgotten:
    """
    Remove all orders that were made with a picture, or made it, with all pictures that they made.

    :param digests: SHA-256 of the picture, in one or more forms.
    """
    said = Forgotten()
    for part in records(where, said.damaged):  # all orders of a swap are in one part
        said.unnamed += sum(not record.pictures for record in part)
        keys = {record.key for record in part if _is_of(record, digests)}
        # All orders of a swap or none: with a gap in their numbers, the running one would not be found.
        running = {record.key for record in part if record.key in keys and _may_be_running(record)}
        said.running += [record.whose for record in part if record.key in running and _may_be_running(record)]
        unread = {name.rpartition("/")[2].partition(".")[0] for name in said.damaged}  # may be running as well
        gone = [record for record in part if record.key in keys - running - unread]
        stored = list(where.names(f"{PICTURES}/{gone[0].key[:2]}")) if gone else []
        for record in sorted(gone, key=lambda record: record.number, reverse=True):
            _forget(where, record, stored, said)
    return said


def _may_be_running(record: SwapRecord) -> bool:
    return record.state in (CLAIMED, ORDERED) and time.time() - record.order.at < rescue.OLD


def _is_of(record: SwapRecord, digests: Collection[str]) -> bool:
    return any(one in digests for one in (*record.pictures, *(output.sha256 for output in record.outputs)))


def _forget(where: Store, record: SwapRecord, stored: Sequence[str], said: Forgotten) -> None:
    facts = facts_of(record)
    if facts is not None:  # under a name that says nothing of the picture, and is the same if this is done twice
        where.do(Replace(f"{FORGOTTEN}/{record.token}.json", facts.to_bytes()))
    own = f"{PICTURES}/{record.key[:2]}/{record.key}.{record.number}."
    for name in [name for name in stored if name.startswith(own)]:
        where.delete(name)  # also a copy that its record does not name yet
        said.pictures += 1
    if record.order.request_id:
        where.delete(request_name(record.order.request_id))
        _forget_task(where, record)
    where.delete(end_name(record.key, record.number))
    where.delete(record.name)  # last, so that it can be done again
    request_id = record.order.request_id
    said.orders.append(f"request {request_id}, {record.whose}" if request_id else record.whose)


def _forget_task(where: Store, record: SwapRecord) -> None:
    """Remove what the task keeps of its only order; what it keeps of a batch has no picture's name."""
    name = f"{task_folder(record.owner)}/segmind_order.json"
    with suppress(ValueError, AttributeError):
        if json.loads(where.do(Read(name)) or b"{}").get("request_id") == record.order.request_id:
            where.delete(name)
