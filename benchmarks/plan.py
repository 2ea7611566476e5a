"""What the parent tells a variant's process to do."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from urllib.parse import urljoin


@dataclass(frozen=True)
class Plan:
    """
    One run of one variant.

    :param variant: its name.
    :param host: URL of the server.
    :param jobs: how many to wait for.
    :param interval: seconds between polls.
    :param patience: seconds after which to stop waiting.
    :param core: which core to stay on, if the machine has more than one.
    :param durations: seconds that each job lasts, for those who only sleep.
    :param emulated: whether the server is the emulator, which takes orders.
    """

    variant: str
    host: str
    jobs: int
    interval: float
    patience: float
    core: int | None = None
    durations: list[float] = field(default_factory=list, repr=False)
    emulated: bool = False

    def path(self, number: int) -> str:
        """Return the path where a job is asked for."""
        return f"/workflows/request/{number}"

    def url(self, number: int) -> str:
        """Return the URL where a job is asked for."""
        return urljoin(self.host, self.path(number))

    def dump(self) -> str:
        """Return it as a line."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, line: str) -> Plan:
        """Read a line."""
        return cls(**json.loads(line))
