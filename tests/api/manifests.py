"""Read a manifest, or the words with which it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.manifest import Swap, read_manifest

P = "https://example.com/p.jpg"
HEAD = "id,character_image,reference_character_image,select_character\r\n"
ROW = f"a,https://example.com/1.jpg,{P},woman\r\n"
PAIR = {"character_image": "https://example.com/1.jpg", "reference_character_image": P}


def read(data: str | bytes, where: str = "s3://b/swaps.csv", **options: Any) -> list[Swap]:
    return read_manifest(data if isinstance(data, bytes) else data.encode(), where, select_character="woman", **options)


def refusal(data: str | bytes, where: str = "s3://b/swaps.csv", **options: Any) -> str:
    with pytest.raises(InvalidRequestError) as said:
        read(data, where, **options)
    assert str(said.value).startswith(f"{where.split('?')[0]} cannot be ordered, and nothing was ordered.")
    return str(said.value)


def ids(swaps: list[Swap]) -> list[str | None]:
    return [swap.id for swap in swaps]
