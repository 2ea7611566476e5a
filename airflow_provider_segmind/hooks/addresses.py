"""Connect only to addresses that are public, the very ones that were checked."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class ForbiddenAddressError(Exception):
    """A host has an address that is not public. It is no ``OSError``, so that nothing below tries again."""


def check_address(host: str, address: str) -> None:
    """
    Refuse an address that is private, loopback, link-local, multicast or reserved (IANA's special-purpose registries).

    :param host: for the message.
    :param address: IPv4 or IPv6.
    :raises ForbiddenAddressError: when it is not public, or wraps an IPv4 address that is not.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    for each in (ip, *_wrapped(ip)):
        if not each.is_global or each.is_multicast or each.is_reserved:
            raise ForbiddenAddressError(f"{host} has the address {address}, which is not public")


def check_host(host: str) -> None:
    """
    Refuse a host that is, or is known here as, an address that is not public; for requests that a proxy sends.

    :raises ForbiddenAddressError: as :func:`check_address`. A name that only the proxy can resolve passes.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return
    for *_, address in found:
        check_address(host, str(address[0]))


class PublicOnly(HTTPAdapter):
    """A transport that resolves a host once, checks every address, and connects to those and no other."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make pools whose connections check."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


def _connect(connection: HTTPConnection) -> socket.socket:
    # Resolving and connecting are one step here: a name that is looked up twice can change in between.
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
            return socket.create_connection((str(address[0]), int(address[1])), timeout=connection.timeout)
        except OSError as error:
            failure = error
    raise urllib3.exceptions.NewConnectionError(connection, f"{host} cannot be reached: {failure}") from failure


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _SecureConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _wrapped(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    inner = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64:
        inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [each for each in inner if each is not None]
