"""Pictures of emulators that are drawn once, however many tests look at them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_segmind.emulator import gallery


@contextmanager
def drawn_once() -> Iterator[None]:
    """Have all emulators of this process share what they draw, which is the same for the same inputs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "draw_sample", functools.cache(gallery.draw_sample))
        patch.setattr(gallery, "_paint_swap", functools.cache(gallery._paint_swap))
        yield
