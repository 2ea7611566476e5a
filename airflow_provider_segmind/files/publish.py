"""Write to object storage whole or not at all, and never over other content."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.files.objects import LOCAL, storage_errors

# Reduced by the umask. Usually the group can read, so that the gallery's API server can be in that group.
_FILE_MODE = 0o660
_FOLDER_MODE = 0o770


def write_whole(path: ObjectStoragePath, data: bytes) -> None:
    """Write a file so that readers see all of it, or the previous content."""
    # On a local file system only owner and group can read it, because it shows people or names them; the umask can
    # restrict this further. An existing file keeps its mode. Missing local folders are created.
    if path.protocol in LOCAL:
        # Object stores publish a file only when it is whole; a local file could be read half written.
        write_local(Path(path.path), data)
    else:
        path.write_bytes(data)


def write_local(path: Path, data: bytes) -> None:
    """Write a local file whole, readable for its owner and group only; missing folders are created."""
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir(_FOLDER_MODE, exist_ok=True)
    whole = path.parent / f".{path.name}.{time.time_ns()}"
    try:
        descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(data)
            with suppress(OSError):  # no previous file, or a file system without modes
                os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode))
        whole.rename(path)
    except BaseException:
        whole.unlink(missing_ok=True)
        raise


def create(path: ObjectStoragePath, data: bytes) -> bool:
    """Create an object whole; return whether it is new."""
    try:
        if path.protocol in LOCAL:
            _create_local(Path(path.path), data)
        else:
            path.fs.pipe_file(path.path, data, mode="create")
    except FileExistsError:
        return False
    except OSError as error:
        if not _is_taken(error):
            raise
        return False
    return True


def _is_taken(error: OSError) -> bool:
    # s3fs knows it by an element that only AWS sends.
    response = getattr(error.__cause__, "response", None) or {}
    return "PreconditionFailed" in str(response.get("Error", {}).get("Code"))


def _create_local(path: Path, data: bytes) -> None:
    # A link appears whole and only once. The file that it leads to first has a name of its own.
    whole = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    write_local(whole, data)
    try:
        os.link(whole, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        raise InvalidRequestError(
            f"The file system of {path.parent} has no hard links, without which an order cannot be claimed. "
            "Ask your Airflow administrator to set [segmind] memory to another folder."
        ) from None
    finally:
        whole.unlink(missing_ok=True)


class OccupiedError(InvalidRequestError):
    """A file with other content has the name already."""


def put(path: ObjectStoragePath, data: bytes, name: str = "destination") -> None:
    """Write a file whole, over any previous content; raise if the storage fails. ``name`` is the parameter's."""
    with writing(path, name):
        write_whole(path, data)


def writing(path: object, name: str = "destination") -> AbstractContextManager[None]:
    """Raise a storage's errors as ours, for results that are paid for."""
    kept = "The result stays at Segmind for seven days, so a retry stores it without a second bill."
    final = f": check the destination and who may write there. {kept}"
    return storage_errors(name, str(path), "read or written", final=final, passing=kept)


def lines_of(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return rows as JSON Lines."""
    # Not joined at the end: a batch may have a hundred thousand rows, whose texts would be there twice.
    lines = io.BytesIO()
    for row in rows:
        lines.write(json.dumps(row, separators=(",", ":")).encode() + b"\n")
    return lines.getvalue()


def publish(path: ObjectStoragePath, data: bytes) -> bool:
    """Write a file unless it exists; return whether it had the same content, and raise if it has other content."""
    with writing(path):
        if path.exists():
            if path.stat().st_size == len(data) and path.read_bytes() == data:
                return True
            if path.is_dir():
                raise IsADirectoryError("a folder is in the way")
            raise OccupiedError(
                f"{shown(str(path))} holds other content, which is not overwritten. Set another name or "
                "destination in the DAG, or remove that file."
            )
        write_whole(path, data)
    return False
