"""The neural networks of the extra ``qa``, each loaded once per process at first use."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_segmind.api.errors import InvalidRequestError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# From the wheel of mediapipe 0.10.21, see NOTICE. A file that differs is never run: it could return anything, or crash.
SHA256 = {
    "selfie_segmentation": "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    "face_detection_full_range_sparse": "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
    "pose_detection": "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
}
POSE = "pose_landmark_full"
"""The pose model; too large to ship, so the user gives its path."""
_POSE_SHA256 = "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"
# More threads would be a pool, which does not survive the fork with which Airflow starts a task.
_THREADS = 1
_lock = threading.Lock()


class ModelError(RuntimeError):
    """A model or its runtime is damaged or missing: no picture can be judged."""


def run(name: str, picture: NDArray[np.float32], file: Path | None = None) -> list[NDArray[np.float32]]:
    """Return a model's outputs for a picture, height x width x 3, in its own range; only ``POSE`` has a ``file``."""
    # An interpreter has its own buffers, which two threads must not share.
    with _lock:
        interpreter = _interpreter(name, file)
        try:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
            interpreter.invoke()
            return [interpreter.get_tensor(output["index"])[0] for output in interpreter.get_output_details()]
        except (RuntimeError, ValueError) as problem:
            raise ModelError(f"The model {name} failed: {problem}. {_REMEDY}") from problem


def load(pose_model: Path | None) -> None:
    """Load every model now, so that later checks open no file."""
    for name in SHA256:
        _interpreter(name, None)
    if pose_model is not None:
        _interpreter(POSE, pose_model)


@functools.cache
def _interpreter(name: str, file: Path | None) -> Any:
    shipped = resources.files("airflow_provider_segmind.quality").joinpath(f"models/{name}.tflite")
    content = verified(name, shipped) if file is None else given_pose_model(file)
    try:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=content, num_threads=_THREADS)
        interpreter.allocate_tensors()
    except (ImportError, OSError, RuntimeError, ValueError) as problem:
        raise ModelError(f"The model {name} cannot be loaded: {problem}. {_REMEDY}") from problem
    return interpreter


def verified(name: str, file: Any) -> bytes:
    """Return a shipped model's bytes, or raise ``ModelError`` if the file is missing or another one."""
    try:
        content: bytes = file.read_bytes()
    except OSError as problem:
        raise ModelError(f"The model {name} cannot be read: {problem}. {_REMEDY}") from problem
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise ModelError(f"The model {name} is damaged: its SHA-256 is {found}, not {SHA256[name]}. {_REMEDY}")
    return content


def given_pose_model(file: Path) -> bytes:
    """Return the bytes of the user's pose model, or raise if the file cannot be read or is another one."""
    wanted = "pose_landmark_full.tflite from the wheel of mediapipe 0.10.21"
    remedy = f"Set the path to {wanted} that every worker can read. To do without the check of poses, set no path."
    try:
        content = file.read_bytes()
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise InvalidRequestError(f"The model of poses, {str(file)!r}, cannot be read ({reason}). {remedy}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != _POSE_SHA256:
        raise InvalidRequestError(
            f"The model of poses, {str(file)!r}, is another file: its SHA-256 is {found}, and {_POSE_SHA256} is "
            f"expected. {remedy}"
        )
    return content


def check_pose_model(file: Path) -> None:
    """Check that a file is the pose model; an unchanged file is not read again."""
    try:
        found = file.stat()
    except (OSError, ValueError):
        given_pose_model(file)
    else:
        _check_once(file, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=1)
def _check_once(file: Path, changed_at: int, size: int) -> None:
    given_pose_model(file)


_REMEDY = (
    "Ask your Airflow administrator to install airflow-provider-segmind[qa] again on every worker. Until then, set "
    "qa=False to run only the core checks."
)


def _forget() -> None:
    """Reset in a forked child: another thread of the parent may have held the lock or been running a model."""
    global _lock
    _lock = threading.Lock()
    _interpreter.cache_clear()


os.register_at_fork(after_in_child=_forget)
