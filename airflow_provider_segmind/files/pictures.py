"""Make a picture readable for Segmind: a public URL is sent unchanged, anything else is prepared and uploaded."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_segmind.api.answers import line
from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.media import (
    AVIF,
    MAX_BYTES,
    MAX_ORIGINAL,
    NAMES,
    format_of,
    looks_like,
    readable_format_of,
)
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.api.workflows import check_image
from airflow_provider_segmind.files.objects import input_path, read_up_to, size_of
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.quality.room import Room

if TYPE_CHECKING:
    from airflow_provider_segmind.quality.prepare import Prepared

log = logging.getLogger(__name__)

_checked: dict[tuple[str, bytes], None] = {}
"""Files that were decoded whole and are sent as they are, by their digest: an upload does not decode them again."""
_MOST_CHECKED = 100_000
_held = Room(MAX_ORIGINAL)
_HEIC_EXTRA = "airflow-provider-segmind[heic]"


@dataclass(frozen=True)
class Readable:
    """
    A picture at a URL that Segmind can read.

    :param done: how it was prepared, in words; empty if it is sent as it is.
    """

    url: str
    done: tuple[str, ...] = ()


def readable(
    hook: SegmindHook, name: str, uri: str, prepare: str = "auto", picture: Prepared | None = None
) -> Readable:
    """Return a picture at a URL, after an upload if it has none; ``picture`` if it is read already."""
    # An upload is public and cannot be deleted, so a file is uploaded only if its bytes show a whole picture.
    if is_url(uri):
        return Readable(uri)
    picture = picture or read_picture(name, uri, prepare)
    return Readable(hook.upload(picture.data, media_type=picture.media_type), picture.done)


def is_url(uri: str) -> bool:
    """Return whether it is a URL that goes to Segmind unchanged."""
    return urlsplit(uri).scheme.lower() in ("http", "https", "data")


def read_picture(name: str, uri: str, prepare: str = "auto") -> Prepared:
    """Return a whole picture, prepared if needed; raise if it is no whole picture or Segmind does not take it."""
    from airflow_provider_segmind.quality.prepare import Prepared
    from airflow_provider_segmind.quality.prepare import prepare as prepared

    with _file(name, uri, prepare) as data:
        kind = format_of(data)
        if kind is not None and prepare == "never":
            _check(name, uri, data, prepare)
            return Prepared(data, kind.media_type)
        if kind is not None and _key(data, prepare) in _checked:
            return Prepared(data, kind.media_type)
        with _errors(name, uri, data, prepare):
            picture = prepared(data)
    if picture.done:
        log.info("%s %s is sent prepared: %s.", name, shown(uri), ", ".join(picture.done))
    return picture


def look_at_picture(name: str, uri: str, prepare: str = "auto") -> None:
    """Decode a picture whole, and raise as ``read_picture`` does."""
    with _file(name, uri, prepare) as data:
        _check(name, uri, data, prepare)


def _check(name: str, uri: str, data: bytes, prepare: str) -> None:
    """Decode a picture whole, once in this process, at little cost."""
    from airflow_provider_segmind.quality.prepare import check

    key = _key(data, prepare)
    if key in _checked:
        return
    with _errors(name, uri, data, prepare):
        wanted = check(data)
    if not wanted or prepare == "never":
        if len(_checked) >= _MOST_CHECKED:
            _checked.clear()
        _checked[key] = None


def _key(data: bytes, prepare: str) -> tuple[str, bytes]:
    return prepare, hashlib.sha256(data).digest()


@contextmanager
def _file(name: str, uri: str, prepare: str) -> Iterator[bytes]:
    """Yield the bytes of a file that looks like a picture and is not too large."""
    limit = MAX_ORIGINAL if prepare == "auto" else MAX_BYTES
    size = size_of(name, uri)
    if size > limit:
        raise _too_large(name, uri, limit)
    with _held.taken(size):
        data = read_whole(name, uri, limit)
        if readable_format_of(data) is None:
            raise _no_picture(name, uri, looks_like(data))
        if prepare == "never" and format_of(data) is None:
            raise InvalidRequestError(
                f"{name} {shown(uri)!r} is not a {NAMES} picture, as Segmind takes them. It is converted only with "
                "prepare='auto' or share='upload': use that, or give another file."
            )
        yield data


def read_whole(name: str, uri: str, limit: int = MAX_ORIGINAL) -> bytes:
    """Return a file's bytes unchecked; raise if it is unreadable or too large for a picture."""
    data = read_up_to(limit + 1, name, uri)
    if len(data) > limit:
        raise _too_large(name, uri, limit)
    return data


@contextmanager
def _errors(name: str, uri: str, data: bytes, prepare: str) -> Iterator[None]:
    """Say of which input a picture cannot be read, why, and what to do."""
    from airflow_provider_segmind.quality import reading

    try:
        yield
    except reading.NoDecoderError:
        kind = readable_format_of(data)
        advice = "use a build of Pillow with AVIF" if kind is AVIF else f"run pip install '{_HEIC_EXTRA}'"
        raise InvalidRequestError(
            f"{name} {shown(uri)!r} is a {kind.name if kind else 'picture'}, which Segmind does not take. To have it "
            f"converted, ask your Airflow administrator to {advice} on every worker; or export it as JPEG."
        ) from None
    except reading.TooManyPixelsError as error:
        raise InvalidRequestError(
            f"{name} {shown(uri)!r} is not uploaded: {error}. Give a smaller picture, or export it as a JPEG that is "
            "not progressive."
        ) from None
    except reading.UnusableError as error:
        raise InvalidRequestError(f"{name} {shown(uri)!r} is not uploaded: {error}.") from None
    except reading.UnreadableError as error:
        raise InvalidRequestError(
            f"{name} {shown(uri)!r} begins like a picture, but {line(str(error), 200)}. So it is not uploaded: "
            "copy the file again from where it comes, or open it and save it again."
        ) from None


def _no_picture(name: str, uri: str, looks: str) -> InvalidRequestError:
    what, _, advice = looks.partition(": ")
    seen = f"is {what}, and so " if what else "is "
    return InvalidRequestError(
        f"{name} {shown(uri)!r} {seen}not a {NAMES} picture, so it is not uploaded: {advice or 'check the path'}."
    )


def _too_large(name: str, uri: str, limit: int) -> InvalidRequestError:
    return InvalidRequestError(f"{name} {shown(uri)!r} is larger than {limit // 2**20} MiB: give a smaller picture.")


THREADS = 4


def share_all(hook: SegmindHook, sources: Any, share: str, expires: float) -> list[str]:
    """Check all pictures, then upload or sign each, and return the URLs; a link expires after some seconds."""
    if isinstance(sources, bytes) or not hasattr(sources, "__iter__"):
        raise InvalidRequestError(f"source is {shown(sources)}: give a path, a URI or a list of those.")
    uris = [check_image(f"source[{index}]", uri) for index, uri in enumerate(sources)]
    prepare = "never" if share == "sign" else "auto"
    _each(lambda uri: None if is_url(uri) else look_at_picture("source", uri, prepare), uris)
    _ = hook.settings  # look up the connection once, before the threads start
    if share == "sign":
        return [uri if is_url(uri) else _signed(uri, expires) for uri in uris]
    return _each(lambda uri: readable(hook, "source", uri).url, uris)


def _each(what: Any, uris: Iterable[str]) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(what, uris))


def _signed(uri: str, expires: float) -> str:
    path = input_path("source", uri)
    try:
        url = str(path.fs.sign(path.path, expiration=int(expires)))
    except (NotImplementedError, AttributeError) as error:
        raise InvalidRequestError(
            f"source {shown(uri)!r} is in a storage that cannot sign links ({path.protocol or 'file'}): use "
            "share='upload'."
        ) from error
    if urlsplit(url).scheme not in ("http", "https"):
        raise InvalidRequestError(f"source {shown(uri)!r} was signed as something that is no URL: use share='upload'.")
    return url
