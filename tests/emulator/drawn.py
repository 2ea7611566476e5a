"""Pictures of emulators that are drawn once, however many tests look at them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_segmind.emulator import pictures, samples


@contextmanager
def drawn_once() -> Iterator[None]:
    """Have all emulators of this process share what they draw, which is the same for the same inputs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "draw", functools.cache(samples.draw))
        patch.setattr(pictures, "_paint_swap", functools.cache(pictures._paint_swap))
        yield
