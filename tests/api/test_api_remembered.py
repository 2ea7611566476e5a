"""What a job has made is kept whole or not at all, and nothing with a secret in it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_segmind.api.memory import KEPT, Size, is_there
from airflow_provider_segmind.api.models import Output
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import (
    DONE,
    MAX_OUTPUTS,
    MAX_WORDS,
    Stored,
    SwapRecord,
    noted,
    read_swap,
    words,
)

SIGNED = "https://b.s3.amazonaws.com/v.mp4?X-Amz-Signature=deadbeef"
PICTURE = Stored("image", "image", "https://x.example/1.png", "pictures/1.png", "ab", 3)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://x.example/1.png", "https://x.example/1.png"),
        ("two\nlines: a/b, 50 %?", "two\nlines: a/b, 50 %?"),
        (SIGNED, ""),
        (f"See {SIGNED} there.", ""),
        ("https://x.example/1.png?id=7", ""),
        ("data:image/png;base64,AAAA", ""),
        ("ä" * (MAX_OUTPUTS // 6 + 1), ""),
        ("x" * (MAX_OUTPUTS + 1), ""),
        ("x" * (MAX_OUTPUTS - 2), "x" * (MAX_OUTPUTS - 2)),
    ],
)
def test_an_output_is_kept_whole_or_not_at_all(given: str, kept: str) -> None:
    assert noted([Output("text", "text", given)]) == (Stored("text", "text", kept),)


def test_all_outputs_of_a_job_fit_into_an_object() -> None:
    said = noted([Output("text", "text", "x" * 100_000)] * 20)
    assert sum(bool(one.url) for one in said) == 2
    record = SwapRecord("a" * 64, 1, OrderRecord(1.0), DONE, outputs=said)
    assert read_swap(record.to_bytes(), record.name).outputs == said


def test_words_are_short_and_without_secrets() -> None:
    assert words(f"not {SIGNED}\nread") == "not https://b.s3.amazonaws.com/v.mp4 read"
    assert len(words("x" * 5000)) <= MAX_WORDS + 1


@pytest.mark.parametrize(
    ("output", "size", "age", "there"),
    [
        (PICTURE, 3, 9 * KEPT, True),
        (PICTURE, 2, 0, False),
        (PICTURE, None, 0, False),
        (Stored("image", "image", "https://x.example/1"), None, KEPT - 1, True),
        (Stored("image", "image", "https://x.example/1"), None, KEPT + 1, False),
        (Stored("video", "video", "HTTPS://x.example/1.mp4"), None, KEPT - 1, True),
        (Stored("video", "video", "HTTPS://x.example/1.mp4"), None, KEPT + 1, False),
        (Stored("text", "text", "a woman"), None, 9 * KEPT, True),
        (Stored("text", "text", ""), None, 0, False),
    ],
)
def test_a_url_counts_as_gone_when_segmind_has_deleted_what_is_there(
    output: Stored, size: int | None, age: float, there: bool
) -> None:
    asked: list[Any] = []

    def drive() -> Any:
        steps = is_there(SwapRecord("a" * 64, 1, OrderRecord(1.0), DONE, outputs=(output,), ended_at=1e6), 1e6 + age)
        answer = None
        while True:
            try:
                asked.append(steps.send(answer))
            except StopIteration as end:
                return end.value
            answer = size

    assert drive() is there
    assert asked == ([Size("pictures/1.png")] if output.uri else [])
