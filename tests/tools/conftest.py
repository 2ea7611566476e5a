"""A project of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.made import Made


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)
