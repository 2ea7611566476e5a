"""A server that is not reached: the error says what was wrong, and what to check."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
import trustme

from airflow_provider_segmind.api import causes, flow
from airflow_provider_segmind.api.errors import TransportError
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.emulator import Emulator
from tests.api.drive import KEY
from tests.api.sending import PACE, run_async, run_sync


def nobody() -> int:
    """Return a port at which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def said(run: Any, host: str, **extra: Any) -> str:
    settings = Settings.from_connection(host=host, password=KEY, extra=extra)
    with pytest.raises(TransportError) as raised:
        run(settings, lambda one, auth: flow.get_credits(one, auth, pace=PACE))
    return str(raised.value)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("run", [run_sync, run_async])
def test_the_error_says_what_was_wrong_and_what_to_check(run: Any) -> None:
    assert "its name is not known here: check the connection's host" in said(run, "https://nobody.invalid")
    assert "it refused the connection: check host and port" in said(run, f"https://127.0.0.1:{nobody()}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with Emulator(ssl_context=context) as emulator:
        assert "not trusted: set the connection's verify" in said(run, emulator.url)
    proxy = {"https": f"http://user:secret@127.0.0.1:{nobody()}"}
    through = said(run, "https://api.segmind.com", proxies=proxy)
    assert "the proxy did not let it through: check the connection's proxies" in through
    assert "secret" not in through


def test_an_error_that_nobody_foresaw_is_named_and_one_that_contains_itself_ends() -> None:
    odd = RuntimeError("secret")
    odd.__cause__ = odd
    assert causes.why(odd, "a.example") == "RuntimeError at a.example"
    timeout = type("ReadTimeout", (Exception,), {})()
    assert "did not answer in time" in causes.why(timeout, "a.example")
    assert "TLS failed" in causes.why(ssl.SSLError("x"), "a.example")
