"""Fetching an output: whole, bounded, from public hosts, and with the key for its own host only."""

from __future__ import annotations

import hashlib
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv6Address
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_segmind.api.errors import (
    InvalidRequestError,
    JobExpiredError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.transport import BoundConnection, NoticingAdapter
from airflow_provider_segmind.files.addresses import ForbiddenAddressError, PublicOnly, check_address
from airflow_provider_segmind.files.download import Limits, download
from airflow_provider_segmind.hooks.segmind import SegmindHook
from tests.provider.odd_host import KEY, PICTURE, OddHost, odd_host, own_host

QUICK = Limits(size=2**20, seconds=0.5, pauses=())


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OddHost]:
    """The connection's own host; whatever is left of a download would be in ``tmp_path``."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with own_host(monkeypatch) as running:
        yield running


def test_a_picture_arrives_whole_and_its_type_is_that_of_its_bytes(host: OddHost) -> None:
    found = download(SegmindHook(), f"{host.url}/good")
    assert found.data == PICTURE
    assert (found.media_type, len(found.data)) == ("image/png", len(PICTURE))
    assert found.sha256 == hashlib.sha256(PICTURE).hexdigest()


@pytest.mark.parametrize("path", ["cut-once", "busy-once"])
def test_a_transient_error_is_waited_out(
    host: OddHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, time=time.time, monotonic=time.monotonic)
    monkeypatch.setattr("airflow_provider_segmind.files.download.time", clock)
    found = download(SegmindHook(), f"{host.url}/{path}", Limits(pauses=(0.5,)))
    assert found.data == PICTURE
    assert slept == [1.0 if path == "busy-once" else 0.5], "a host that says how long is waited for so long"
    assert len(host.seen) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("cut", TransportError, "was cut off"),
        ("gone", JobExpiredError, "paid for and is lost"),
        ("broken", ServiceError, "HTTP 503"),
        ("html", ServiceError, "<html> <h1>Sign in first"),
        ("short-length", TransportError, "the picture's end is missing"),
        ("endless", InvalidRequestError, "larger than 1 MiB"),
        ("drip", TransportError, "not there whole within 0.5 s"),
        ("drip-header", TransportError, "not there whole within 0.5 s"),
        ("loop", InvalidRequestError, "more than 3 redirects"),
    ],
)
def test_each_fault_ends_in_its_own_error_and_leaves_no_file(
    host: OddHost, tmp_path: Path, path: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        download(SegmindHook(), f"{host.url}/{path}?signature=secret", QUICK)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert host.streamed < 64 * 2**20


def test_redirects_share_one_time(host: OddHost) -> None:
    host.redirect = "/drip-header"
    with pytest.raises(TransportError, match=r"not there whole within 0.5 s"):
        download(SegmindHook(), f"{host.url}/moved", QUICK)


@pytest.mark.parametrize("proxy", [False, True], ids=["direct", "through a proxy"])
def test_every_connection_of_a_download_is_bound_to_its_time(
    proxy: bool,
) -> None:
    """Whichever way it leaves, so that no server, and nobody in between, can hold a worker by dripping."""
    for name, adapter in (("own", NoticingAdapter()), ("elsewhere", PublicOnly())):
        with closing(adapter):
            manager = adapter.proxy_manager_for("http://proxy.example:1") if proxy else adapter.poolmanager
            for url in ("https://a.example/", "http://a.example/"):
                made = manager.connection_from_url(url).ConnectionCls
                assert issubclass(made, BoundConnection), name


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/a.png",
        "https://[::1]/a.png",
        "https://[::ffff:10.0.0.1]/a.png",
        "https://localhost/a.png",
        "file:///etc/passwd",
    ],
)
@pytest.mark.parametrize("redirected", [False, True])
def test_nothing_is_fetched_from_an_address_that_is_not_public(
    host: OddHost, tmp_path: Path, target: str, redirected: bool
) -> None:
    host.redirect = target
    with pytest.raises(InvalidRequestError, match="is not fetched"):
        download(SegmindHook(), f"{host.url}/moved" if redirected else target)
    assert list(tmp_path.iterdir()) == []


def test_another_port_of_the_own_machine_is_another_host(host: OddHost) -> None:
    with odd_host() as other:
        for target in (f"{other.url}/good", other.url.replace("http:", "https:") + "/good"):
            host.redirect = target
            with pytest.raises(InvalidRequestError, match="is not fetched"):
                download(SegmindHook(), f"{host.url}/moved")
        assert other.seen == []


def test_the_key_goes_to_the_own_host_and_through_no_redirect(host: OddHost) -> None:
    host.redirect = "/good"
    download(SegmindHook(), f"{host.url}/moved")
    (_, first), (_, second) = host.seen
    assert KEY in str(first)
    assert KEY not in str(second)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
        # What one or another Python of 3.11 to 3.13 calls global, and where clouds keep a machine's secrets.
        "168.63.129.16", "100.100.100.200", "192.0.0.192", "192.88.99.1", "fec0::1", "3fff::1", "5f00::1", "2001:1::1",
        "2001:20::1", "64:ff9b:1::1", "2002:808:808::", "4000::1", "::ffff:168.63.129.16", "64:ff9b::a83f:8110",
        "::ffff:0:10.0.0.1", "::8.8.8.8", "100::1",
    ],
)  # fmt: skip
def test_special_addresses_are_refused(address: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        check_address("a.example", address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700:4700::1111", "2001:4860:4860::8888", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_public_addresses_are_not(address: str) -> None:
    check_address("a.example", address)


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_passes_only_if_it_is_global_unicast_or_stands_for_a_public_ipv4_address(
    address: IPv6Address,
) -> None:
    try:
        check_address("a.example", str(address))
    except ForbiddenAddressError:
        return
    translated = int(address) >> 32 == 0x64FF9B << 64
    assert int(address) >> 125 == 1 or address.ipv4_mapped or translated


def test_an_output_of_an_emulator_over_plain_http_is_fetched_past_every_proxy(
    host: OddHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    with odd_host() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert download(SegmindHook(), f"{host.url}/good").data == PICTURE
        assert proxy.seen == []


def test_neither_an_error_nor_what_led_to_it_shows_the_signature_of_a_url(
    host: OddHost,
) -> None:
    """The error of a lost connection quotes the whole URL, and a traceback in a task's log has it, too."""
    secret = "5ecret"
    for path in ("cut", "gone", "html", "short-length"):
        with pytest.raises(SegmindError) as error:
            download(SegmindHook(), f"{host.url}/{path}?X-Amz-Signature={secret}", Limits(pauses=()))
        assert secret not in "".join(traceback.format_exception(error.value))
    url = host.url
    host.shutdown()
    host.server_close()
    with pytest.raises(TransportError) as lost:
        download(SegmindHook(), f"{url}/a.png?X-Amz-Signature={secret}", Limits(pauses=()))
    assert secret not in "".join(traceback.format_exception(lost.value))
