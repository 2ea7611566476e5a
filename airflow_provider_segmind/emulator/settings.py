"""The emulator's settings, checked at each change."""

from __future__ import annotations

import dataclasses
import ipaddress
from dataclasses import dataclass
from typing import Any, Literal, get_args

from airflow_provider_segmind.emulator.answers import RATE_LIMIT_HEADERS, RateLimitHeaders

Auth = Literal["both", "bearer", "x-api-key"]
OutputAs = Literal["string", "list"]
UploadAs = Literal["file_urls", "urls"]

DEFAULT_KEY = "SG_0123456789abcdef"


@dataclass
class Settings:
    """
    All settings of an emulator; `Emulator` explains each.

    :raises ValueError: If a value is invalid.
    """

    api_key: str = DEFAULT_KEY
    auth: Auth = "both"
    credits: float = 100.0
    free_credits: float = 0.0
    price: float = 0.2687
    requests_per_minute: int | None = None
    rate_limit_headers: RateLimitHeaders = "retry-after"
    rate_window: float = 60.0
    job_seconds: float | tuple[float, float] = 0.0
    job_polls: int = 0
    record_seconds: float | None = None
    output_as: OutputAs = "string"
    upload_as: UploadAs = "file_urls"
    latency: float = 0.0
    history: bool = True
    seed: int = 0
    body_swap_workflow: str = "678b67a76426baad7e539337"

    def __post_init__(self) -> None:
        # The control plane uses JSON, which has no tuples.
        if not isinstance(self.job_seconds, int | float):
            low, high = self.job_seconds
            self.job_seconds = (float(low), float(high))
        _check_choice("auth", self.auth, get_args(Auth))
        _check_choice("rate_limit_headers", self.rate_limit_headers, RATE_LIMIT_HEADERS)
        _check_choice("output_as", self.output_as, get_args(OutputAs))
        _check_choice("upload_as", self.upload_as, get_args(UploadAs))
        if not self.api_key:
            raise ValueError("api_key must not be empty")
        for name in ("price", "rate_window", "job_polls", "latency"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")

    def changed(self, **changes: Any) -> Settings:
        """
        Return a copy with some settings changed.

        :param changes: New values by name.
        :raises ValueError: If a name or a value is unknown.
        """
        unknown = set(changes) - {field.name for field in dataclasses.fields(self)}
        if unknown:
            raise ValueError(f"no such setting: {', '.join(sorted(unknown))}")
        return dataclasses.replace(self, **changes)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def is_loopback(host: str | None) -> bool:
    """Return whether a host is this machine itself."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
