"""A file is published whole or not at all."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_segmind.api.errors import TransportError
from airflow_provider_segmind.files.publish import publish, put


@pytest.mark.parametrize("write", [publish, put])
def test_a_disk_that_is_full_half_way_leaves_no_part_of_a_file(write: Any, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(TransportError, match="cannot be read or written"):
            write(ObjectStoragePath(f"file://{tmp_path}/swap.png"), b"x" * 4096)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("write", [publish, put])
@pytest.mark.parametrize(
    ("mask", "file", "folder"), [(0o022, 0o640, 0o750), (0o002, 0o660, 0o770), (0o077, 0o600, 0o700), (0, 0o660, 0o770)]
)
def test_pictures_of_people_are_for_their_owner_and_group_only(
    write: Any, tmp_path: Path, mask: int, file: int, folder: int
) -> None:
    with umask(mask):
        write(ObjectStoragePath(f"file://{tmp_path}/looks/night/swap.png"), b"a person")
    assert mode(tmp_path / "looks" / "night" / "swap.png") == file
    assert (mode(tmp_path / "looks"), mode(tmp_path / "looks" / "night")) == (folder, folder)


@pytest.mark.parametrize("kept", [0o600, 0o644, 0o664])
def test_a_file_that_is_written_again_keeps_its_mode(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "swap.json"
    path.write_bytes(b"{}")
    path.chmod(kept)
    put(ObjectStoragePath(f"file://{path}"), b'{"a": 1}')
    assert path.read_bytes() == b'{"a": 1}'
    assert mode(path) == kept


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o2775)
    put(ObjectStoragePath(f"file://{tmp_path}/shared/swap.png"), b"a person")
    assert (tmp_path / "shared").stat().st_mode & 0o7777 == 0o2775
