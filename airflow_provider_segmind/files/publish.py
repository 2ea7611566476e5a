"""Write to object storage whole or not at all, and never over other content."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_segmind.api.errors import InvalidRequestError, TransportError
from airflow_provider_segmind.api.uris import cause, shown
from airflow_provider_segmind.files.objects import LOCAL

# Reduced by the umask. Usually the group can read, so that the gallery's API server can be in that group.
_FILE_MODE = 0o660
_FOLDER_MODE = 0o770


def write_whole(path: ObjectStoragePath, data: bytes) -> None:
    """Write a file so that readers see all of it, or the previous content."""
    # On a local file system only owner and group can read it, because it shows people or names them; the umask can
    # restrict this further. An existing file keeps its mode. Missing local folders are created.
    if path.protocol in LOCAL:
        # Object stores publish a file only when it is whole; a local file could be read half written.
        _write_local(Path(path.path), data)
    else:
        path.write_bytes(data)


def _write_local(path: Path, data: bytes) -> None:
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


def put(path: ObjectStoragePath, data: bytes) -> None:
    """Write a file whole, over any previous content; raise ``TransportError`` if the storage fails."""
    try:
        write_whole(path, data)
    except (OSError, ImportError) as error:
        raise storage_error(path, error) from error


def lines_of(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return rows as JSON Lines."""
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()


def publish(path: ObjectStoragePath, data: bytes) -> bool:
    """Write a file unless it exists; return whether it had the same content, and raise if it has other content."""
    try:
        if path.exists():
            if path.stat().st_size == len(data) and path.read_bytes() == data:
                return True
            if path.is_dir():
                raise IsADirectoryError("a folder is in the way")
            raise InvalidRequestError(
                f"{shown(str(path))} holds other content, which is not overwritten. Set another name or "
                "destination in the DAG, or remove that file."
            )
        write_whole(path, data)
    except (OSError, ImportError) as error:
        raise storage_error(path, error) from error
    return False


def storage_error(path: ObjectStoragePath, error: Exception) -> TransportError:
    """Return the error for a storage that cannot be read or written."""
    return TransportError(
        f"{shown(str(path))} cannot be read or written ({cause(error)}): check the destination and who may write "
        "there. The result stays at Segmind for seven days, so a retry stores it without a second bill."
    )
