"""The emulator's settings. The constructor, the command line and the control plane are made from them."""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from airflow_provider_segmind.emulator.answers import RateLimitHeaders

DEFAULT_KEY = "SG_0123456789abcdef"
_NOT_NEGATIVE = ("price", "rate_window", "job_polls", "latency")


@dataclass(frozen=True)
class Settings:
    """
    What can be set at the start, and changed while the emulator runs.

    :param api_key: Key that is let in.
    :param auth: Header that is honoured: ``both``, ``bearer`` or ``x-api-key``.
    :param credits: Balance in US dollars.
    :param free_credits: Free balance in US dollars, spent first.
    :param price: Price of an accepted submit in US dollars.
    :param requests_per_minute: Requests per minute before a 429; no limit unless it is given.
    :param rate_limit_headers: How a 429 gives the wait: ``retry-after``, ``http-date``, ``reset``
        (``x-rate-limit-reset-at-utc`` as ISO 8601), ``reset-epoch`` (the same in seconds) or ``none``.
    :param rate_window: Seconds in the rate limit's minute, for faster tests.
    :param job_seconds: Seconds that a job takes, or a range from low to high.
    :param job_polls: Polls that find a job unfinished, whatever the time.
    :param record_seconds: Seconds after a job's end from which its polls answer 404; never unless it is given.
    :param output_as: Form of a job's output: ``string`` (JSON in a string, as documented) or ``list``.
    :param upload_as: Name of the URLs in an upload's answer: ``file_urls`` or ``urls``.
    :param latency: Seconds added to every answer.
    :param history: Whether there is a request history; if not, it answers 404.
    :param seed: Decides ids and durations.
    :raises ValueError: If a value is invalid.
    """

    api_key: str = DEFAULT_KEY
    auth: Literal["both", "bearer", "x-api-key"] = "both"
    credits: float = 100.0
    free_credits: float = 0.0
    price: float = 0.2687
    requests_per_minute: int | None = None
    rate_limit_headers: RateLimitHeaders = "retry-after"
    rate_window: float = 60.0
    job_seconds: float | tuple[float, float] = 0.0
    job_polls: int = 0
    record_seconds: float | None = None
    output_as: Literal["string", "list"] = "string"
    upload_as: Literal["file_urls", "urls"] = "file_urls"
    latency: float = 0.0
    history: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.job_seconds, list | tuple):  # JSON has no tuples
            low, high = self.job_seconds
            object.__setattr__(self, "job_seconds", (float(low), float(high)))
        for name, hint in _hints().items():
            _check(name, getattr(self, name), hint)
        if not self.api_key:
            raise ValueError("api_key must not be empty: give the key that clients send")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")

    def changed(self, **changes: Any) -> Settings:
        """
        Return a copy with some settings changed.

        :param changes: New values by name.
        :raises ValueError: If a name or a value is unknown.
        """
        if unknown := sorted(set(changes) - set(_hints())):
            raise ValueError(f"no such setting: {', '.join(unknown)}; there are: {', '.join(_hints())}")
        return dataclasses.replace(self, **changes)


class Described(NamedTuple):
    """A setting as the command line shows it."""

    name: str
    hint: Any
    default: Any
    meaning: str


def described() -> Iterator[Described]:
    """Yield all settings with their types, defaults and what the docstring says of them."""
    said = re.findall(r":param (\w+): (.+?)(?=\n +:)", Settings.__doc__ or "", re.DOTALL)
    meanings = {name: " ".join(text.replace("``", "").split()) for name, text in said}
    for field in dataclasses.fields(Settings):
        yield Described(field.name, _hints()[field.name], field.default, meanings.get(field.name, ""))


def is_loopback(host: str | None) -> bool:
    """Return whether a host is this machine itself."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


@functools.cache
def _hints() -> dict[str, Any]:
    return get_type_hints(Settings)


def _check(name: str, value: object, hint: Any) -> None:
    choices = get_args(hint)
    if get_origin(hint) is Literal:
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    elif not any(_fits(value, kind) for kind in choices or (hint,)):
        raise ValueError(f"{name} must be {Settings.__annotations__[name]}, not {value!r}")


def _fits(value: object, kind: Any) -> bool:
    accepted = (int, float) if kind is float else get_origin(kind) or kind
    return isinstance(value, accepted) and isinstance(value, bool) == (kind is bool)
