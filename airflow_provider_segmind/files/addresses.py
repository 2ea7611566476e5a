"""Connect only to public addresses, and only to those that were checked."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from airflow_provider_segmind.api.transport import BoundConnection, NoticingAdapter, time_left

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
"""All public IPv6 addresses that IANA has allocated so far; later allocations do not count as public."""

# IANA's special-purpose registries. Listed here because current Python releases disagree about six of the entries.
# 168.63.129.16 is formally public, but Azure serves each machine's secrets there.
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
        "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    )
)  # fmt: skip


class ForbiddenAddressError(Exception):
    """A host has an address that is not public. It is not an ``OSError``, so that lower layers do not try again."""


def check_address(host: str, address: str) -> None:
    """Raise ``ForbiddenAddressError`` unless an address, or the IPv4 address it stands for, is public."""
    ip = _meant(ipaddress.ip_address(address.partition("%")[0]))
    if any(ip in network for network in _SPECIAL) or (ip.version == 6 and ip not in _UNICAST):
        raise ForbiddenAddressError(f"{host} has the address {address}, which is not public")


def check_host(host: str) -> None:
    """Raise if this machine resolves a proxied host to a non-public address; pass if only the proxy can resolve it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return
    for *_, address in found:
        check_address(host, str(address[0]))


def _connect(connection: HTTPConnection) -> socket.socket:
    # Resolve and connect in one step: between two look-ups a name can change (DNS rebinding).
    host = connection.host
    try:
        found = socket.getaddrinfo(host, connection.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise urllib3.exceptions.NewConnectionError(connection, f"{host} cannot be resolved: {error}") from error
    for *_, address in found:
        check_address(host, str(address[0]))
    failure: OSError | None = None
    for *_, address in found:
        try:
            return socket.create_connection((str(address[0]), int(address[1])), timeout=time_left(connection.timeout))
        except OSError as error:
            failure = error
    raise urllib3.exceptions.NewConnectionError(connection, f"{host} cannot be reached: {failure}") from failure


class _Connection(BoundConnection, HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _SecureConnection(BoundConnection, HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS: Mapping[str, type[urllib3.HTTPConnectionPool]] = {"http": _Pool, "https": _SecurePool}


class PublicOnly(NoticingAdapter):
    """Transport that resolves a host once, checks every address, and connects only to these."""

    direct = _POOLS


def _meant(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for (IPv4-mapped or NAT64), else the address itself."""
    if isinstance(ip, ipaddress.IPv6Address) and ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return getattr(ip, "ipv4_mapped", None) or ip
