"""A process that runs the doctor in forks, so that a test can kill one at any moment without waiting for imports."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.doctor.run import examine
from airflow_provider_segmind.emulator import samples
from tests.api.clock import Clock


def _say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main() -> None:
    url, key = sys.argv[1:]
    settings = Settings.from_connection(host=url, password=key, extra={"timeout": 5})
    drawn = {(kind, number): samples.draw(kind, number, "JPEG") for kind, number in (("scene", 0), ("person", 1))}
    samples.draw = lambda kind, number, form="PNG": drawn[kind, number]  # type: ignore[assignment, misc]
    _say("ready")
    for line in sys.stdin:
        # What the fork prints must not be waited for, so the pid is told from here.
        pid = os.fork()
        if pid == 0:
            try:
                clock = Clock()
                examine(settings, Path(line.strip()), agree=lambda _: True, clock=clock, sleep=clock.sleep, here=list)
            finally:
                os._exit(0)
        _say(pid)
        began = time.monotonic()
        os.waitpid(pid, 0)
        _say(time.monotonic() - began)


if __name__ == "__main__":
    main()
