"""A connection becomes settings, or a sentence that says what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_segmind.api.errors import AuthenticationError, InvalidRequestError, SegmindError
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.workflows import check_image_url

KEY = "SG_0123456789abcdef"
REAL_KEY = "SG_" + "a1b2c3d4e5f60718"  # in two parts, so that no search for keys finds it here


def make(**parts: Any) -> Settings:
    return Settings.from_connection(**{"host": None, "password": KEY, **parts})


def test_an_empty_connection_but_for_the_key_means_the_public_api() -> None:
    settings = make()
    assert settings.base_url == "https://api.segmind.com"
    assert settings.storage_url == "https://workflows-api.segmind.com"
    assert (settings.connect_timeout, settings.read_timeout) == (5.0, 30.0)
    assert settings.auth_scheme == "auto"
    assert settings.verify is True
    assert settings.history_url == "https://api.spotprod.segmind.com"


def test_the_key_is_in_no_repr() -> None:
    assert KEY not in repr(make(extra={"proxies": {"https": f"http://user:{KEY}@proxy"}}))


@pytest.mark.parametrize(
    ("parts", "base_url"),
    [
        ({"host": "api.segmind.com"}, "https://api.segmind.com"),
        ({"host": "https://api.segmind.com/"}, "https://api.segmind.com"),
        ({"host": "api.segmind.com", "port": 8443}, "https://api.segmind.com:8443"),
        ({"host": "https://gateway.example.com/segmind/", "port": 443}, "https://gateway.example.com/segmind"),
        ({"host": "https://gateway.example.com:444", "port": 443}, "https://gateway.example.com:444"),
        ({"host": "127.0.0.1", "schema": "http", "port": 8765}, "http://127.0.0.1:8765"),
        ({"host": "http://localhost:8765"}, "http://localhost:8765"),
        ({"host": "http://[::1]:8765"}, "http://[::1]:8765"),
    ],
)
def test_host_schema_and_port_make_the_base_url(parts: dict[str, Any], base_url: str) -> None:
    assert make(**parts).base_url == base_url


def test_uploads_and_history_are_the_emulators_when_the_host_is_one() -> None:
    settings = make(host="http://127.0.0.1:8765")
    assert settings.storage_url == settings.history_url == "http://127.0.0.1:8765"


def test_the_port_that_the_form_of_airflow_3_3_2_needs_changes_nothing() -> None:
    settings = make(host="https://api.segmind.com", port=443)
    assert settings.history_url == "https://api.spotprod.segmind.com"
    assert settings.storage_url == "https://workflows-api.segmind.com"


def test_a_gateway_has_no_history_unless_it_says_where() -> None:
    assert make(host="gateway.example.com").history_url is None


def test_extras_are_read_also_as_the_form_saves_them() -> None:
    settings = make(
        extra={
            "auth_scheme": "X-API-Key",
            "timeout": "12",
            "requests_per_minute": 120,
            "trusted_hosts": "files.example.com, cdn.example.com:8443",
            "storage_url": "https://upload.example.com/",
            "history_url": "https://history.example.com",
            "verify": "false",
            "proxies": '{"https": "http://proxy:3128"}',
            "unknown": 1,
        }
    )
    assert settings.auth_scheme == "x-api-key"
    assert settings.read_timeout == 12
    assert settings.requests_per_minute == 120
    assert settings.trusted_hosts == ("files.example.com", "cdn.example.com:8443")
    assert settings.storage_url == "https://upload.example.com"
    assert settings.history_url == "https://history.example.com"
    assert settings.verify is False
    assert settings.proxies == {"https": "http://proxy:3128"}


def test_a_short_timeout_also_shortens_connecting() -> None:
    assert make(extra={"timeout": 2}).connect_timeout == 2


def test_verify_may_be_a_bundle() -> None:
    assert make(extra={"verify": "certificates/ca.pem"}).verify == "certificates/ca.pem"


@pytest.mark.parametrize("password", [None, "", "   "])
def test_a_connection_without_a_key_says_who_must_put_it_where(password: str | None) -> None:
    with pytest.raises(AuthenticationError, match=r"'mine' has no API key: put the key into its password field"):
        make(password=password, conn_id="mine")


@pytest.mark.parametrize("password", ["SG_123 456", "SG_é", "SG_\x00"])
def test_a_mangled_key_is_refused_without_showing_it(password: str) -> None:
    with pytest.raises(AuthenticationError, match="copy the key again") as caught:
        make(password=password)
    assert password not in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"host": "http://api.segmind.com"}, "host 'http://api.segmind.com' would send the API key unencrypted"),
        ({"host": "api.segmind.com", "schema": "http"}, "unencrypted"),
        ({"host": "ftp://api.segmind.com"}, "is not a base URL"),
        ({"host": "https://"}, "is not a base URL"),
        ({"host": "https://api.segmind.com?x=1"}, "is not a base URL"),
        ({"host": "https://api.segmind.com:99999"}, "is not a base URL"),
        ({"host": "https://api.segmind.com:0"}, "is not a base URL"),
        ({"host": "https://api segmind.com"}, "is not a base URL"),
        ({"host": "https://-x.com"}, "is not a base URL"),
        ({"host": "https://[::1"}, "is not a base URL"),
        ({"extra": {"auth_scheme": "basic"}}, "auth_scheme is 'basic', it must be one of auto, bearer, x-api-key"),
        ({"extra": {"timeout": -1}}, "timeout is -1, it must be a number of seconds above 0"),
        ({"extra": {"timeout": True}}, "timeout is True"),
        ({"extra": {"timeout": "soon"}}, "timeout is 'soon'"),
        ({"extra": {"timeout": [1]}}, r"timeout is \[1\]"),
        ({"extra": {"requests_per_minute": 0}}, "requests_per_minute is 0"),
        ({"extra": {"verify": 3}}, "verify is 3"),
        ({"extra": {"proxies": "proxy:3128"}}, "proxies must be an object"),
        ({"extra": {"proxies": {"https": 1}}}, "proxies must be an object"),
        ({"extra": {"trusted_hosts": 5}}, "trusted_hosts is 5"),
        ({"extra": {"trusted_hosts": ["https://x.com"]}}, "trusted_hosts has 'https://x.com'; write bare host names"),
        ({"extra": {"trusted_hosts": ["x.com/path"]}}, "write bare host names"),
        ({"extra": {"storage_url": "http://upload.example.com"}}, "storage_url 'http://upload.example.com' would send"),
        ({"extra": {"history_url": "nowhere"}}, "history_url 'nowhere' is not a base URL"),
    ],
)
def test_a_bad_value_is_named_with_its_remedy(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        make(**parts)
    assert "segmind_default" in str(caught.value)
    assert KEY not in str(caught.value)


EMULATOR = {"host": "http://emulator:8765", "extra": {"emulator_host": "emulator"}}


@pytest.mark.parametrize("key", [KEY, "SG_emulator_of_team_a"])
def test_an_emulator_in_another_container_is_reached_when_the_connection_names_it(key: str) -> None:
    settings = make(**EMULATOR, password=key)
    assert settings.base_url == settings.storage_url == settings.history_url == "http://emulator:8765"
    assert settings.may_receive_key("http://emulator:8765/workflows/request/1")
    assert not settings.may_receive_key("http://emulator:8766/workflows/request/1")
    assert check_image_url("character_image", "http://emulator:8765/samples/scene/0.png", settings.base_url)
    with pytest.raises(InvalidRequestError, match="not an https:// URL"):
        check_image_url("character_image", "http://elsewhere:8765/samples/scene/0.png", settings.base_url)


def test_an_emulators_host_may_be_an_address_however_it_is_written() -> None:
    for host, named in (("http://10.0.0.7:8765", "10.0.0.7"), ("http://[fd00::7]:8765", " [FD00::7] ")):
        assert make(host=host, extra={"emulator_host": named}).base_url == host


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"host": "http://emulator:8765"}, "if the connection's extra emulator_host is 'emulator' too"),
        ({"host": "http://other:8765", "extra": {"emulator_host": "emulator"}}, "unencrypted"),
        ({**EMULATOR, "password": REAL_KEY}, "it may be a real API key"),
        (
            {
                "password": REAL_KEY,
                "extra": {"emulator_host": "emulator", "storage_url": "http://emulator:8765"},
            },
            "storage_url 'http://emulator:8765' would send the password unencrypted",
        ),
    ],
    ids=["nothing says so", "another host", "a real key", "uploads only"],
)
def test_a_key_that_may_be_real_never_goes_unencrypted_to_another_machine(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        make(**parts)
    assert REAL_KEY not in str(caught.value)


def test_a_password_in_the_host_is_refused_and_not_shown() -> None:
    with pytest.raises(SegmindError) as caught:
        make(host="https://user:secret@api.segmind.com")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.segmind.com/workflows/request/1",
        "https://API.segmind.com/workflows/request/1",
        "https://api.segmind.com:443/x",
        "https://files.example.com/x",
        "https://cdn.example.com:8443/x",
    ],
)
def test_the_key_may_go_to_the_connections_host_and_the_trusted_ones(url: str) -> None:
    assert make(extra={"trusted_hosts": ["files.example.com", "cdn.example.com:8443"]}).may_receive_key(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "http://api.segmind.com/x",
        "https://api.segmind.com.evil.example/x",
        "https://evil.example/api.segmind.com",
        "https://api.segmind.com@evil.example/x",
        "https://evil.example\\@api.segmind.com/x",
        "https://evil.example#@api.segmind.com/x",
        "https://api.segmind.com:8443/x",
        "https://api.segmind.com\n.evil.example/x",
        "https://api.segmind.com\t/x",
        "https://аpi.segmind.com/x",  # noqa: RUF001 - a Cyrillic letter, as an attacker would use
        "http://files.example.com/x",
        "https://files.example.com:444/x",
        "https://sub.files.example.com/x",
        "file:///etc/passwd",
    ],
)
def test_the_key_goes_nowhere_else(url: str) -> None:
    assert not make(extra={"trusted_hosts": ["files.example.com"]}).may_receive_key(url)
