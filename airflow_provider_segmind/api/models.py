"""Frozen values that the layers exchange."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from airflow_provider_segmind.api.errors import AuthenticationError, InvalidRequestError
from airflow_provider_segmind.api.urls import PORTS, is_local, is_loopback, origin_of, parse_url

DEFAULT_HOST = "https://api.segmind.com"
DEFAULT_STORAGE_URL = "https://workflows-api.segmind.com"
DEFAULT_HISTORY_URL = "https://api.spotprod.segmind.com"
AUTH_SCHEMES = ("auto", "bearer", "x-api-key")
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0

KNOWN_EXTRAS = frozenset(
    {
        "auth_scheme",
        "timeout",
        "verify",
        "proxies",
        "requests_per_minute",
        "trusted_hosts",
        "storage_url",
        "history_url",
        "emulator_host",
    }
)

TERMINAL = frozenset({"COMPLETED", "FAILED"})
RUNNING = frozenset({"QUEUED", "PROCESSING"})

# An emulator's default key, which its documentation shows, or a key that says what it is for.
_EMULATOR_KEY = re.compile(r"SG_0123456789abcdef|.*emulator.*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Output:
    """
    One output of a finished job.

    :param keyname: the output's name in the workflow.
    :param type: the service's word for its kind (``image``, ``text``, …).
    :param url: where to fetch it; for an output without a file, its value.
    """

    keyname: str
    type: str
    url: str


@dataclass(frozen=True, slots=True)
class Job:
    """
    One order at Segmind, as last seen.

    :param request_id: the service's id of the order.
    :param poll_url: the URL to poll; never built from the id.
    :param status: ``QUEUED``, ``PROCESSING``, ``COMPLETED``, ``FAILED``, or another word of the service.
    :param outputs: the job's outputs; empty until it is completed.
    :param error: the service's own words about a failure.
    :param workflow: the workflow of the order, if known.
    :param submitted_at: seconds since the epoch at which the answer to the order came, if known.
    :param doubtful: whether the answer may be about another job; it is believed only if it repeats.
    :param prepared: what was done to its pictures before they were sent, by the name of the input.
    :param reused: whether another task or run ordered it, and pays for it.
    """

    request_id: str
    poll_url: str
    status: str
    outputs: tuple[Output, ...] = ()
    error: str = ""
    workflow: str | None = None
    submitted_at: float | None = None
    doubtful: bool = False
    prepared: Mapping[str, Sequence[str]] = field(default_factory=dict, hash=False)
    reused: bool = False

    @property
    def done(self) -> bool:
        """Whether the job has ended for certain."""
        return self.status in TERMINAL and not self.doubtful


@dataclass(frozen=True)
class Settings:
    """
    The checked settings of a connection.

    :param base_url: scheme, host and port of the API, without a trailing slash.
    :param api_key: the key; it appears in no ``repr``.
    :param auth_scheme: ``auto`` (Bearer, then once ``x-api-key`` on a 401), ``bearer`` or ``x-api-key``.
    :param connect_timeout: seconds to establish a connection.
    :param read_timeout: seconds to wait for an answer.
    :param verify: whether to check TLS certificates, or the path of a CA bundle.
    :param proxies: proxy URL by scheme, as in ``requests``.
    :param requests_per_minute: the account's limit, or ``None``.
    :param trusted_hosts: further hosts (``host`` or ``host:port``) that may receive the key.
    :param storage_url: base URL for uploads of inputs.
    :param history_url: base URL of the account's request history; ``None`` if unknown.
    :param emulator_host: host of an emulator that plain http may reach; ``None``: this machine only.
    """

    base_url: str
    api_key: str = field(repr=False)
    auth_scheme: str = "auto"
    connect_timeout: float = CONNECT_TIMEOUT
    read_timeout: float = READ_TIMEOUT
    verify: bool | str = True
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    requests_per_minute: float | None = None
    trusted_hosts: tuple[str, ...] = ()
    storage_url: str = DEFAULT_STORAGE_URL
    history_url: str | None = None
    emulator_host: str | None = None

    @classmethod
    def from_connection(
        cls,
        *,
        host: str | None,
        password: str | None,
        schema: str | None = None,
        port: int | None = None,
        extra: Mapping[str, Any] | None = None,
        conn_id: str = "segmind_default",
    ) -> Settings:
        """
        Check the parts of an Airflow connection and return settings.

        :param host: host or base URL; empty means the public API.
        :param password: the API key.
        :param schema: ``https`` (default) or, for an emulator only, ``http``.
        :param port: port, if it is not the scheme's own.
        :param extra: the connection's extras; empty values count as not given, unknown names are ignored.
        :param conn_id: name of the connection, for messages.
        :raises AuthenticationError: if there is no key.
        :raises InvalidRequestError: if a value is invalid; the message names it and never the key.
        """
        extras = {name: value for name, value in (extra or {}).items() if value not in (None, "")}
        where = f"Connection '{conn_id}'"
        key = (password or "").strip()
        if not key:
            raise AuthenticationError(f"{where} has no API key: put the key into its password field.")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise AuthenticationError(
                f"{where} has an API key with blanks or unprintable characters: copy the key again."
            )
        plain = _Plain(where, key, str(extras.get("emulator_host", "")).strip(" []").lower())
        base_url = _base_url(plain, host, schema, port)
        scheme = str(extras.get("auth_scheme", "auto")).lower()
        if scheme not in AUTH_SCHEMES:
            raise InvalidRequestError(
                f"{where}: auth_scheme is {scheme!r}, it must be one of {', '.join(AUTH_SCHEMES)}."
            )
        read = _positive(where, "timeout", extras.get("timeout"), "seconds") or READ_TIMEOUT
        pace = _positive(where, "requests_per_minute", extras.get("requests_per_minute"), "requests a minute")
        # An emulator serves all of the service's hosts; uploads must not send its key to the real one.
        local = is_local(base_url)
        storage_url = extras.get("storage_url") or (base_url if local else DEFAULT_STORAGE_URL)
        history_url = extras.get("history_url") or (
            base_url if local else DEFAULT_HISTORY_URL if origin_of(base_url) == origin_of(DEFAULT_HOST) else None
        )
        return cls(
            base_url=base_url,
            api_key=key,
            auth_scheme=scheme,
            connect_timeout=min(CONNECT_TIMEOUT, read),
            read_timeout=read,
            verify=_verify(where, extras.get("verify", True)),
            proxies=_proxies(where, extras.get("proxies")),
            requests_per_minute=pace,
            trusted_hosts=_hosts(where, extras.get("trusted_hosts")),
            storage_url=_checked_url(plain, "storage_url", str(storage_url)),
            history_url=_checked_url(plain, "history_url", str(history_url)) if history_url else None,
            emulator_host=plain.emulator_host or None,
        )

    def may_receive_key(self, url: str, *, also: tuple[str, ...] = ()) -> bool:
        """
        Whether the key may be sent to this URL: the connection's own host, or a trusted host over https.

        :param url: an absolute URL from any source.
        :param also: further base URLs of the connection that count as its own in this call.
        """
        target = origin_of(url)
        return target is not None and (target in self._own_origins or target in map(origin_of, also))

    @cached_property
    def _own_origins(self) -> frozenset[tuple[str, str, int] | None]:
        """The origins that may receive the key; each poll looks."""
        return frozenset(map(origin_of, (self.base_url, *(f"https://{host}" for host in self.trusted_hosts))))


@dataclass(frozen=True)
class _Plain:
    """Checks plain http: only to this machine, or with an emulator's key to the connection's ``emulator_host``."""

    where: str
    key: str = field(repr=False)
    emulator_host: str

    def check(self, name: str, url: str, host: str) -> None:
        """Refuse to send a key unencrypted to another machine, unless it is an emulator's key, which is no secret."""
        if is_loopback(host):
            return
        if host.lower() != self.emulator_host:
            raise InvalidRequestError(
                f"{self.where}: {name} {url!r} would send the API key unencrypted; use https:// (http:// is for an "
                f"emulator: on this machine, or elsewhere if the connection's extra emulator_host is {host!r} too)."
            )
        if not _EMULATOR_KEY.fullmatch(self.key):
            raise InvalidRequestError(
                f"{self.where}: {name} {url!r} would send the password unencrypted, and it may be a real API key: put "
                "the emulator's SG_0123456789abcdef there, or start the emulator with an --api-key that has the word "
                "'emulator' in it."
            )


def _base_url(plain: _Plain, host: str | None, schema: str | None, port: int | None) -> str:
    host = (host or "").strip() or DEFAULT_HOST
    url = host if "://" in host else f"{(schema or 'https').lower()}://{host}"
    parts = parse_url(url)
    if parts is not None and port and parts.port is None:
        url = f"{parts.scheme}://{parts.netloc}:{port}{parts.path}"
    return _checked_url(plain, "host", url)


def _checked_url(plain: _Plain, name: str, url: str) -> str:
    parts, origin = parse_url(url.rstrip("/")), origin_of(url)
    if parts is None or origin is None or parts.query or parts.fragment:
        # The part before an @ may be a password.
        shown = url.rpartition("@")[2]
        raise InvalidRequestError(f"{plain.where}: {name} {shown!r} is not a base URL like {DEFAULT_HOST}.")
    if parts.scheme == "http":
        plain.check(name, url, parts.hostname or "")
    scheme, host, port = origin  # in one spelling, since the memory of swaps knows a service by it
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}{'' if port == PORTS[scheme] else f':{port}'}{parts.path}"


def _positive(where: str, name: str, value: Any, unit: str) -> float | None:
    if value is None:
        return None
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 < number < float("inf"):
        raise InvalidRequestError(f"{where}: {name} is {value!r}, it must be a number of {unit} above 0.")
    return number


def _verify(where: str, value: Any) -> bool | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        lowered = value.strip().lower()
        if lowered in ("true", "false"):
            return lowered == "true"
        return value.strip()
    raise InvalidRequestError(f"{where}: verify is {value!r}, it must be true, false or the path of a CA bundle.")


def _proxies(where: str, value: Any) -> Mapping[str, str]:
    if isinstance(value, str):  # as the connection form saves it
        try:
            value = json.loads(value)
        except ValueError:
            value = False
    if value is None:
        return {}
    if isinstance(value, Mapping) and all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        return dict(value)
    # Proxy URLs often carry a password, so the message does not show the value.
    raise InvalidRequestError(f'{where}: proxies must be an object like {{"https": "http://proxy:3128"}}.')


def _hosts(where: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    hosts = value.split(",") if isinstance(value, str) else value
    if not isinstance(hosts, (list, tuple)):
        raise InvalidRequestError(f"{where}: trusted_hosts is {value!r}, it must be a list of host names.")
    checked = []
    for host in hosts:
        name = str(host).strip()
        parts = parse_url(f"https://{name}")
        if parts is None or parts.netloc != name:
            raise InvalidRequestError(
                f"{where}: trusted_hosts has {name!r}; write bare host names like files.example.com."
            )
        checked.append(name)
    return tuple(checked)
