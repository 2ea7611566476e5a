"""Object storages in memory: what may be answered late, twice or not at all, and what is certain nevertheless."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar

from airflow_provider_segmind.api.memory import Steps
from airflow_provider_segmind.memory.store import Store
from tests.simulation.hub import Hub

T = TypeVar("T")

KINDS = ("s3", "gs", "nfs")
"""Two object stores that answer a taken name in different ways, and a shared disk."""


class ThrottledError(Exception):
    """An answer of botocore or gcsfs that says to come again."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": code}}


class Disk:
    """
    All objects, by name, and the faults of the storage.

    :param kind: one of :data:`KINDS`.
    :param faulty: how likely a request fails, before or after it took effect.
    """

    def __init__(self, hub: Hub, kind: str, faulty: float) -> None:
        self.hub = hub
        self.kind = kind
        self.faulty = faulty
        self.objects: dict[str, bytes] = {}
        self.outages: list[tuple[float, float]] = []
        self.written: Callable[[str, bytes, bytes | None], None] = lambda name, data, before: None

    def is_out(self, moment: float) -> tuple[float, float] | None:
        """Return the outage at a moment, if there is one."""
        if self.hub.healed:
            return None
        return next((one for one in self.outages if one[0] <= moment < one[1]), None)

    def ask(self, what: str, name: str, effect: Callable[[], Any]) -> Any:
        """Do a request: it may fail before it takes effect, or its answer may be lost after it."""
        hub = self.hub
        hub.step(f"{what} {name}")
        self._fail()
        result = effect()
        hub.step(f"{what} done")
        self._fail()
        return result

    def write(self, name: str, data: bytes, *, new: bool = False) -> None:
        """Write an object; with ``new``, only if there is none."""
        before = self.objects.get(name)
        if new and before is not None:
            raise self._taken()
        self.objects[name] = data
        self.written(name, data, before)

    def read(self, name: str) -> bytes:
        """Return an object."""
        if name not in self.objects:
            raise FileNotFoundError(name)
        return self.objects[name]

    def _taken(self) -> Exception:
        if self.kind != "s3":
            return FileExistsError(errno.EEXIST, "exists")
        error = OSError(errno.EINVAL, "At least one of the pre-conditions you specified did not hold")
        error.__cause__ = ThrottledError(412, "PreconditionFailed")
        return error

    def _fail(self) -> None:
        hub = self.hub
        if hub.healed or not (self.outages or self.faulty):
            return
        if not self.is_out(hub.now) and not (self.faulty and hub.rng.random() < self.faulty):
            return
        if self.kind == "s3":
            kinds: tuple[Exception, ...] = (
                ConnectionResetError(errno.ECONNRESET, "reset"),
                ThrottledError(503, "SlowDown"),
            )
        elif self.kind == "gs":
            kinds = (TimeoutError("timed out"), ThrottledError(429, "rateLimitExceeded"))
        else:
            kinds = (OSError(errno.EIO, "Input/output error"), OSError(errno.ESTALE, "Stale file handle"))
        raise hub.rng.choice(kinds)


class Path:
    """What the memory needs of a path of Airflow's object storage."""

    protocol = "s3"

    def __init__(self, disk: Disk, name: str) -> None:
        self._disk = disk
        self.path = name

    @property
    def fs(self) -> Path:
        """Its file system, which reads and writes only this object."""
        return self

    def __str__(self) -> str:
        return f"s3://memory/{self.path}"

    def cat_file(self, name: str, start: int, end: int) -> bytes:
        """Return an object."""
        data: bytes = self._disk.ask("read", name, lambda: self._disk.read(name))
        return data

    def pipe_file(self, name: str, data: bytes, mode: str) -> None:
        """Create an object."""
        self._disk.ask("create", name, lambda: self._disk.write(name, data, new=mode == "create"))

    def write_bytes(self, data: bytes) -> None:
        """Write the object whole."""
        self._disk.ask("write", self.path, lambda: self._disk.write(self.path, data))

    def rm_file(self, name: str) -> None:
        """Delete an object."""

        def delete() -> None:
            if self._disk.objects.pop(name, None) is None:
                raise FileNotFoundError(name)

        self._disk.ask("delete", name, delete)

    def stat(self) -> Any:
        """Return the size."""
        data = self._disk.ask("size", self.path, lambda: self._disk.read(self.path))
        return SimpleNamespace(st_size=len(data))


class SimulatedStore(Store):
    """The package's own store, over a storage in memory and in virtual time."""

    def __init__(self, disk: Disk) -> None:
        super().__init__("s3://memory")
        self.disk = disk
        self._is_checked = True

    def path(self, name: str) -> Any:
        """Return the path of an object."""
        return Path(self.disk, name)

    def run(self, steps: Steps[T], *, sleep: Any = None, **how: Any) -> T:
        """Do what some steps ask for."""
        return super().run(steps, sleep=self.disk.hub.sleep, **how)

    def do(self, step: Any, sleep: Any = None) -> Any:
        """Do one step."""
        return super().do(step, self.disk.hub.sleep)


class TaskStates:
    """What Airflow 3.3 keeps for one task; its API can be away."""

    def __init__(self, hub: Hub, faulty: float) -> None:
        self._hub = hub
        self._faulty = faulty
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """Return a value."""
        self._ask("recall")
        return self.values.get(key)

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        self._ask("note")
        self.values[key] = json.loads(json.dumps(value))
        self._ask("noted")

    def delete(self, key: str) -> None:
        """Forget a value."""
        self._ask("forget")
        self.values.pop(key, None)

    def _ask(self, what: str) -> None:
        self._hub.step(what)
        if self._faulty and not self._hub.healed and self._hub.rng.random() < self._faulty:
            raise AirflowAwayError("Airflow's API does not answer.")


class AirflowAwayError(Exception):
    """Airflow's own API failed: not for this package to explain."""
