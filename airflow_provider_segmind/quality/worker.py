"""
The process that checks pictures for :mod:`airflow_provider_segmind.quality.many`: frames in, frames out.

A frame is its length in four bytes, big-endian, and that many bytes. A request is one frame of JSON and one for each
picture; the answer is one frame of JSON. Nothing is pickled: whoever takes over a decoder with a picture must not get
from here into the task, which holds the keys.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from airflow_provider_segmind.quality.inspect import check_swap
from airflow_provider_segmind.quality.thresholds import Thresholds

_HEAD = struct.Struct(">I")
# Of 1000. When memory runs out, the kernel shall end this process, which is reported, and not the task.
_OOM_SCORE = "700"


def send(stream: IO[bytes], frame: bytes) -> None:
    """Write one frame."""
    stream.write(_HEAD.pack(len(frame)))
    stream.write(frame)


def receive(stream: IO[bytes]) -> bytes | None:
    """Return one frame, or ``None`` when the stream has ended."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    frame = stream.read(_HEAD.unpack(head)[0])
    return frame if len(frame) == _HEAD.unpack(head)[0] else None


def main() -> None:
    """Answer until there is nothing more to read."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    # Whatever a library prints belongs to the log, not between the frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while (order := receive(sys.stdin.buffer)) is not None:
        asked = json.loads(order)
        frames = [receive(sys.stdin.buffer) for _ in range(asked["pictures"])]
        source, result, *more = [frame for frame in frames if frame is not None]
        thresholds, model = Thresholds.of(asked["thresholds"]), asked["pose_model"]
        poses = None if model is None else Path(model)
        report = check_swap(source, result, *more, thresholds=thresholds, qa=asked["qa"], pose_model=poses)
        send(answers, json.dumps(report.to_json()).encode())
        answers.flush()


if __name__ == "__main__":
    main()
