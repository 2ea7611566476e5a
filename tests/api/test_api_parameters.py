"""Parameters that operators check when a DAG is parsed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.manifest import check_written
from airflow_provider_segmind.api.parameters import check_failures, check_max_age, check_mode


def test_what_can_be_meant_is_taken() -> None:
    assert [check_mode(mode) for mode in ("auto", True, False)] == ["auto", True, False]
    assert [check_failures(value) for value in (0, 0.5, 3, 3.0)] == [0.0, 0.5, 3.0, 3.0]
    assert [check_max_age(age) for age in (None, 60, timedelta(minutes=2))] == [None, 60.0, 120.0]


@pytest.mark.parametrize(
    ("check", "value", "said"),
    [
        (check_mode, "never", "end_in_trigger is 'never': it must be 'auto', True or False"),
        (check_failures, 1.5, "max_failures is 1.5: it must be a whole number of swaps, or a share of them"),
        (check_failures, True, "max_failures is True"),
        (check_max_age, -1, "reuse_max_age"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(check: Callable[[Any], Any], value: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        check(value)


@pytest.mark.parametrize("swaps", ["s3://a/b.csv", [], ["{{ params.swap }}"], [{"character_image": "{{ params.a }}"}]])
def test_what_only_a_run_can_tell_is_not_refused_when_a_dag_is_parsed(swaps: Any) -> None:
    if isinstance(swaps, list) and swaps and isinstance(swaps[0], dict):
        swaps[0]["reference_character_image"] = object()  # another task's output
    check_written(swaps, None)


def test_a_misspelled_key_in_a_written_list_is_refused_when_a_dag_is_parsed() -> None:
    with pytest.raises(InvalidRequestError, match="charakter_image"):
        check_written([{"charakter_image": "https://x/1.png", "reference_character_image": "https://x/2.png"}], None)
