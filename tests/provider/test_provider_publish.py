"""A file is published whole or not at all."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_segmind.api.errors import TransportError
from airflow_provider_segmind.hooks.publish import publish, put


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
