"""Store one output: the picture, a thumbnail, and a sidecar file that records its origin."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_segmind.api.errors import InvalidRequestError, ServiceError
from airflow_provider_segmind.api.media import FORMATS
from airflow_provider_segmind.api.uris import cause, public_uri, shown
from airflow_provider_segmind.files.download import Downloaded, Limits, download
from airflow_provider_segmind.files.objects import input_path, read_up_to
from airflow_provider_segmind.files.publish import OccupiedError, publish, put, writing
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.provenance.label import AI_COMPOSITE, label, source_type
from airflow_provider_segmind.storage.signing import Signer

log = logging.getLogger(__name__)

THUMBNAIL_SIDE = 640
_SUFFIXES = {known.media_type: known.suffix for known in FORMATS}
MAX_SIDECAR = 2**20
"""Bytes of a sidecar to read at most."""


@dataclass(frozen=True)
class Item:
    """An output to store."""

    base: str  # URI of the stored picture without its suffix
    url: str  # where to fetch it
    facts: Mapping[str, Any]  # its origin, for the sidecar; request_id, keyname and index identify it

    @property
    def request_id(self) -> str:
        """Id of the job that made it."""
        return str(self.facts["request_id"])

    @property
    def sidecar(self) -> ObjectStoragePath:
        """Path of its sidecar. The complete sidecar is written last, so its presence means a complete output."""
        return ObjectStoragePath(f"{self.base}.json")

    def picture(self, media_type: str) -> ObjectStoragePath:
        """Return the path of its picture."""
        return ObjectStoragePath(f"{self.base}{_SUFFIXES[media_type]}")

    @property
    def thumbnail(self) -> ObjectStoragePath:
        """Path of its thumbnail, if it has one."""
        return ObjectStoragePath(f"{self.base}.thumb.webp")


@dataclass(frozen=True)
class StoreOptions:
    """How to store outputs."""

    thumbnails: bool = True
    labels: bool = True  # whether each picture's metadata says that a model made part of it
    signer: Signer | None = None  # a signature includes the label
    limits: Limits | None = None


def store_output(hook: SegmindHook, item: Item, options: StoreOptions) -> dict[str, Any]:
    """Store an output unless an earlier attempt did, and return the facts of its files; ``size`` is in bytes."""
    stored = _stored_before(item)
    if stored is not None:
        return {**stored, "skipped": True}
    found = download(hook, item.url, options.limits)
    width, height, small = _look(item, found.data, thumbnail=options.thumbnails)
    picture = item.picture(found.media_type)
    data, labelled, signed = _marked(item, found, options)
    if signed:
        # Signing the same picture again gives other bytes. After a kill in between we could not recognize them as ours.
        data = _promised(item, picture) or _promise(item, picture, data)
    skipped = publish(picture, data)
    thumb = item.thumbnail if small else None
    entry = {
        "uri": str(picture),
        "keyname": item.facts["keyname"],
        "media_type": found.media_type,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "width": width,
        "height": height,
        "labelled": labelled,
        "signed": signed,
        "thumbnail": str(thumb) if thumb else None,
        "sidecar": str(item.sidecar),
    }
    if thumb is not None and small is not None and not _publish_thumbnail(item, thumb, small):
        entry["thumbnail"] = None
    put(item.sidecar, _sidecar(item, found, entry))
    return {**entry, "skipped": skipped}


def _publish_thumbnail(item: Item, thumb: ObjectStoragePath, small: bytes) -> bool:
    """Write a thumbnail unless another file has its name: a picture ``x.thumb`` has that of the thumbnail of ``x``."""
    try:
        publish(thumb, small)
    except OccupiedError as error:
        log.warning("Request %s: a picture has no thumbnail: %s", item.request_id, error)
        return False
    return True


def _sidecar(item: Item, found: Downloaded, entry: Mapping[str, Any]) -> bytes:
    said = {
        **item.facts,
        **entry,
        "source": public_uri(item.url),
        "source_sha256": found.sha256,
        "stored_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return _readable(said)


def _readable(said: Mapping[str, Any]) -> bytes:
    """Return the bytes of a sidecar, formatted for people."""
    return (json.dumps(said, indent=2, default=str) + "\n").encode()


def add_to_sidecar(result: Mapping[str, Any], picture: bytes, dag_id: str | None, facts: Mapping[str, Any]) -> None:
    """Add or replace facts in the sidecar of a picture (its bytes) that this DAG stored, and write nowhere else."""
    # The result comes from an XCom and may name any file. So the file next to the picture must be the sidecar that this
    # DAG's storage operator wrote for exactly this picture. If not, or if it cannot be written, only the log says so.
    base, dot, suffix = str(result.get("uri")).rpartition(".")
    try:
        if f"{dot}{suffix}" not in _SUFFIXES.values():
            raise InvalidRequestError("the result's uri is no picture that the storage operator stores.")
        said = json.loads(read_up_to(MAX_SIDECAR, "sidecar", f"{base}.json"))
        wanted = {
            "uri": result["uri"],
            "request_id": result.get("request_id"),
            "sha256": hashlib.sha256(picture).hexdigest(),
            "dag_id": dag_id,
        }
        if not isinstance(said, dict) or any(said.get(name) != value for name, value in wanted.items()):
            raise InvalidRequestError("it is not the sidecar that this DAG's storage operator wrote for this picture.")
        put(input_path("sidecar", f"{base}.json"), _readable({**said, **facts}))
    except Exception as error:  # noqa: BLE001 - a storage failure must not fail the check
        log.warning("The sidecar of %s does not say what was found: %s", shown(result.get("uri")), shown(str(error)))


def _marked(item: Item, found: Downloaded, options: StoreOptions) -> tuple[bytes, bool, bool]:
    """Return the bytes to store, whether they carry the AI label, and whether they are signed."""
    try:
        if options.signer is not None:
            data = options.signer.sign(found.data, title=item.base.rpartition("/")[2])
            return data, source_type(data, found.media_type) == AI_COMPOSITE, True
        if options.labels:
            data = label(found.data, found.media_type)
            return data, source_type(data, found.media_type) == AI_COMPOSITE, False
    except InvalidRequestError as error:
        # It is paid for, so store it without a label; the sidecar says so.
        log.warning("Request %s: a picture is stored as it came: %s", item.request_id, error)
    return found.data, False, False


def _promise(item: Item, picture: ObjectStoragePath, data: bytes) -> bytes:
    """Record in the sidecar which file will be written next."""
    said = {**_identity(item), "promised": str(picture), "sha256": hashlib.sha256(data).hexdigest()}
    put(item.sidecar, _readable(said))
    return data


def _promised(item: Item, picture: ObjectStoragePath) -> bytes | None:
    """Return the file that an earlier attempt wrote before it could complete the sidecar, if there is one."""
    with writing(item.sidecar):
        if not (item.sidecar.exists() and picture.exists()):
            return None
        data: bytes = picture.read_bytes()
        return data if json.loads(item.sidecar.read_bytes())["sha256"] == hashlib.sha256(data).hexdigest() else None


def _stored_before(item: Item) -> dict[str, Any] | None:
    """Return the facts of what an earlier attempt stored, if it is complete and of the same output."""
    with writing(item.sidecar):
        if not item.sidecar.exists():
            return None
        found = item.sidecar.read_bytes()
    try:
        said = json.loads(found)
        same = all(said[name] == value for name, value in _identity(item).items())
        if same and "promised" in said:
            return None
        picture = item.picture(said["media_type"])
        # Compute the paths here: the content of a sidecar must not decide what is read or returned.
        entry = {name: said[name] for name in _ENTRY} | {
            "uri": str(picture),
            "thumbnail": str(item.thumbnail) if said["thumbnail"] else None,
            "sidecar": str(item.sidecar),
        }
    except (ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise InvalidRequestError(
            f"{shown(str(item.sidecar))} belongs to something else than output {item.facts['keyname']!r} of request "
            f"{item.facts['request_id']}, so nothing is written there. Set another name or destination in the DAG."
        )
    with writing(picture):
        return entry if picture.exists() and picture.stat().st_size == entry["size"] else None


def _identity(item: Item) -> dict[str, Any]:
    return {name: item.facts[name] for name in ("request_id", "keyname", "index")}


_ENTRY = (
    "uri",
    "keyname",
    "media_type",
    "size",
    "sha256",
    "width",
    "height",
    "labelled",
    "signed",
    "thumbnail",
    "sidecar",
)


def _look(item: Item, data: bytes, *, thumbnail: bool) -> tuple[int, int, bytes | None]:
    """Return a picture's width, height and thumbnail; raise if it cannot be decoded, so that it is not stored."""
    from airflow_provider_segmind.quality import reading

    try:
        small = reading.thumbnail(data, THUMBNAIL_SIDE)
    except reading.TooManyPixelsError as error:
        # It is paid for, and its file is small enough to store.
        log.warning("Request %s: a picture is stored without being decoded: %s", item.request_id, error)
        return *error.size, None
    except reading.UnreadableError as error:
        raise ServiceError(
            f"{public_uri(item.url)} begins like a picture but cannot be decoded ({cause(error)}), "
            "so it is not stored. A retry fetches it again and costs nothing; if it stays so, ask Segmind's support."
        ) from error
    return *small.size, small.data if thumbnail else None
