"""What the tests of paid orders share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.operators.body_swap import (
    BodySwapBatchOperator,
    BodySwapOperator,
    SubmitBodySwapBatchOperator,
    SubmitBodySwapOperator,
)

BATCHES = [BodySwapBatchOperator, SubmitBodySwapBatchOperator]


ALL = [BodySwapOperator, SubmitBodySwapOperator, *BATCHES]


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO):
        yield


def ids(emulator: Emulator) -> list[str]:
    return [charge.request_id for charge in emulator.charges]


def retryable(attempt: Callable[[], Any]) -> str:
    """Run an attempt that must fail so that Airflow tries it again, and return what it said."""
    with pytest.raises(SegmindError) as error:
        attempt()
    return str(error.value)


def to_the_end(task: Any) -> Any:
    """Run an attempt, whether it waits or only orders."""
    return task.attempt() if task.cls in (BodySwapOperator, BodySwapBatchOperator) else task.start()
