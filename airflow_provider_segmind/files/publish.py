"""Write to object storage whole or not at all, and never over something else."""

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

# What the umask leaves of it: usually that the group reads, so that the API server of the gallery can be one of it.
_FILE_MODE = 0o660
_FOLDER_MODE = 0o770


def write_whole(path: ObjectStoragePath, data: bytes) -> None:
    """
    Write a file so that whoever reads it finds all of it, or what was there before.

    On a local file system its owner and group may read it and nobody else, since it shows people, or says who they are;
    the umask can take away more. A file that was there keeps its mode.

    :param path: where; folders are made on local file systems.
    """
    if path.protocol in ("", "file", "local"):
        # Others may be reading; object stores publish a file only when it is whole, and file systems do not.
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
            with suppress(OSError):  # there was none, or its file system knows no modes
                os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode))
        whole.rename(path)
    except BaseException:
        whole.unlink(missing_ok=True)
        raise


def put(path: ObjectStoragePath, data: bytes) -> None:
    """
    Write a file whole, in place of what was there.

    :raises TransportError: when the storage cannot be written; a retry may help.
    """
    try:
        write_whole(path, data)
    except (OSError, ImportError) as error:
        raise storage_error(path, error) from error


def lines_of(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return rows as JSON Lines."""
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()


def publish(path: ObjectStoragePath, data: bytes) -> bool:
    """
    Write a file unless it is there already.

    :return: whether the same content was there already.
    :raises InvalidRequestError: when other content is there; it is not overwritten.
    :raises TransportError: when the storage cannot be read or written; a retry may help.
    """
    try:
        if path.exists():
            if path.stat().st_size == len(data) and path.read_bytes() == data:
                return True
            if path.is_dir():
                raise IsADirectoryError("a folder is in the way")
            raise InvalidRequestError(
                f"{shown(str(path))} holds other content, which is not overwritten: whoever wrote the DAG gives "
                "another name or destination, or removes that file."
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
