"""
The process that checks pictures for :mod:`airflow_provider_segmind.quality.many`: frames in, frames out.

A frame is four bytes of length, big-endian, and that many bytes. A request is one JSON frame and one per picture; the
answer is one JSON frame. Nothing is pickled: an attacker who takes over a decoder with a picture must not get into the
task, which holds the keys. So the worker does not get the task's environment, which may hold connections. And before it
decodes the first picture, it gives up the right to open any file or socket.
"""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from airflow_provider_segmind.quality.inspect import check_swap
from airflow_provider_segmind.quality.thresholds import Thresholds

_HEAD = struct.Struct(">I")
# Of 1000. If memory runs out, the kernel must kill this process, which is reported, and not the task.
_OOM_SCORE = "700"
_ENVIRONMENT = (
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PATH",
    "PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "TMPDIR",
)  # fmt: skip


def environment() -> dict[str, str]:
    """Return the part of the task's environment that Python needs to start and to find its modules."""
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}


def send(stream: IO[bytes], frame: bytes) -> None:
    """Write one frame."""
    stream.write(_HEAD.pack(len(frame)))
    stream.write(frame)


def receive(stream: IO[bytes]) -> bytes | None:
    """Return one frame; ``None`` at the end of the stream."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    frame = stream.read(_HEAD.unpack(head)[0])
    return frame if len(frame) == _HEAD.unpack(head)[0] else None


def main() -> None:
    """Answer requests until the input ends."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    # Output of libraries belongs in the log, not between the frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    is_sealed = False
    while (order := receive(sys.stdin.buffer)) is not None:
        asked = json.loads(order)
        frames = [receive(sys.stdin.buffer) for _ in range(asked["pictures"])]
        model = asked["pose_model"]
        options = {
            "thresholds": Thresholds.of(asked["thresholds"]),
            "qa": asked["qa"],
            "pose_model": None if model is None else Path(model),
        }
        if not is_sealed:
            _seal(options)
            is_sealed = True
        source, result, *more = [frame for frame in frames if frame is not None]
        report = check_swap(source, result, *more, **options)
        send(answers, json.dumps(report.to_json()).encode())
        answers.flush()


def _seal(options: dict[str, Any]) -> None:
    """Load everything that a check may need by checking our own pictures; then forbid opening files."""
    from PIL import Image  # here, since importing an operator must not import Pillow

    drawn = Image.radial_gradient("L").resize((64, 64)).convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 6
    pictures = []
    for kind in ("PNG", "JPEG", "WEBP"):
        file = io.BytesIO()
        drawn.save(file, kind, exif=turned)
        pictures.append(file.getvalue())
    report = check_swap(*pictures, **options)
    if "qa" in report.layers:
        from airflow_provider_segmind.quality.interpreters import load

        load(options["pose_model"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


if __name__ == "__main__":
    main()
