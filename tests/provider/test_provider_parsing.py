"""What no run could do fails when the DAG is parsed."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.operators.body_swap import (
    BodySwapBatchOperator,
    BodySwapOperator,
    SubmitBodySwapBatchOperator,
    SubmitBodySwapOperator,
)

PICTURES = {"character_image": "s3://b/a.png", "reference_character_image": "s3://b/p.png"}


@pytest.mark.parametrize("cls", [SubmitBodySwapOperator, BodySwapOperator])
def test_a_setting_that_means_nothing_is_refused(cls: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"on_unknown_outcome is 'retry': set it to 'fail' or 'resubmit'"):
        cls(task_id="swap", on_unknown_outcome="retry", **PICTURES)
    with pytest.raises(InvalidRequestError, match="is not a workflow id"):
        cls(task_id="swap", workflow="body swap", **PICTURES)
    assert cls(task_id="swap", workflow="{{ params.workflow }}", **PICTURES)


@pytest.mark.parametrize(
    ("swaps", "words"),
    [
        ([{**PICTURES, "select_charcter": "man"}], "'select_charcter' seems to mean select_character"),
        ([{"charcter_image": "s3://b/a.png", "reference_character_image": "s3://b/p.png"}], "seems to mean"),
        ([PICTURES, {"character_image": "s3://b/b.png"}], "reference_character_image is empty"),
        ([PICTURES, PICTURES], "the same swap as item 0"),
        ([{**PICTURES, "character_image": ""}], "character_image is empty"),
    ],
)
def test_a_list_of_swaps_in_the_dag_is_checked(swaps: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        SubmitBodySwapBatchOperator(task_id="swaps", swaps=swaps)


def test_templates_and_other_names_of_columns_are_left_for_the_run() -> None:
    pictures = {"Scene": "{{ params.scene }}", "reference_character_image": "s3://b/p.png"}
    BodySwapBatchOperator(
        task_id="swaps",
        swaps=[pictures, pictures],
        columns={"Scene": "character_image"},
        results_uri="s3://b/r.jsonl",
        on_unknown_outcome="resubmit",
    )


def test_a_dag_is_parsed_without_any_library_of_http_storage_pictures_or_lineage() -> None:
    doors = (
        *("operators.body_swap", "operators.memory", "operators.pixelflow", "operators.quality"),
        *("sensors.body_swap", "transfers.object_storage", "decorators.body_swap"),
    )
    code = f"""
import sys, airflow.sdk
from airflow.sdk import BaseOperator, BaseSensorOperator
before = set(sys.modules)
import {", ".join(f"airflow_provider_segmind.{door}" for door in doors)}
new = set(sys.modules) - before
print(sorted({{name.partition(".")[0] for name in new}} - {{"airflow", "airflow_provider_segmind"}}))
print(len([name for name in new if name.startswith("airflow_provider_segmind.")]))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    others, own = done.stdout.splitlines()[-2:]
    assert set(ast.literal_eval(others)) <= {"unicodedata", "ipaddress", "zlib"}  # of Python itself
    assert int(own) <= 28
