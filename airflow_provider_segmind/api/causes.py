"""Why a server was not reached, in words that say what to check; each library wraps the reason in errors of its own."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

_PROXY = "the proxy did not let it through: check the connection's proxies"
_CERTIFICATE = (
    "its certificate is not trusted: set the connection's verify to the file with your company's certificates, if it "
    "has its own"
)
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "its name is not known here: check the connection's host, and this machine's DNS"),
    (ssl.SSLCertVerificationError, _CERTIFICATE),
    (ssl.SSLError, "TLS failed: check the connection's host and proxies"),
    (ConnectionRefusedError, "it refused the connection: check host and port, and whether the server runs"),
    (TimeoutError, "it did not answer in time: check the network, a firewall, and the connection's timeout"),
)


def why(error: BaseException, host: str) -> str:
    """Return why a request got no answer; it has no secret, since none of the error's own words are in it."""
    chain = list(_chain(error))
    names = [type(one).__name__ for one in chain]
    words = _PROXY if any("Proxy" in name for name in names) else None
    words = words or next((said for kind, said in _WORDS if any(isinstance(one, kind) for one in chain)), None)
    if words is None and any("Timeout" in name for name in names):
        words = _WORDS[-1][1]
    return f"{names[0]} at {host}" + (f": {words}" if words else "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors inside it: ``requests``, urllib3 and aiohttp each keep them elsewhere."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inside = (getattr(one, name, None) for name in _INSIDE)
        waiting += [each for each in (*inside, *one.args) if isinstance(each, BaseException)]


_INSIDE = ("__cause__", "__context__", "reason", "os_error", "_os_error", "certificate_error")
