"""What is shown of a URI: where a file is, and nothing with which anybody could read it."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_segmind.api.uris import (
    MAX_SHOWN,
    bare_uri,
    cause,
    dataset_name,
    key_of,
    public_uri,
    quoted,
    shown,
)

SECRET = "5ecret"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("https://host/a.png?X-Amz-Signature=5ecret&X-Amz-Date=1", "https://host/a.png"),
        ("https://host/a b.png?sig=5ecret", "https://host/a b.png"),
        ("https://host/a.png#access_token=5ecret", "https://host/a.png"),
        ("https://user:5ecret@host:8443/a.png", "https://***@host:8443/a.png"),
        ("https://5ecret@host/a.png", "https://***@host/a.png"),
        ("https://user:5e/cr?5ecret@host/a.png", "https://***@host/a.png"),
        ("s3://AKIA:5ecret@bucket/a.png", "s3://***@bucket/a.png"),
        ("simplecache::https://user:5ecret@host/a.png?sig=5ecret", "simplecache::https://***@host/a.png"),
        ("abfs://c@account.dfs.core.windows.net/a.png?sig=5ecret", "abfs://c@account.dfs.core.windows.net/a.png"),
        ("s3://aws_default@bucket/a.png", "s3://aws_default@bucket/a.png"),
        ("s3://bucket/in/a#1.jpg", "s3://bucket/in/a#1.jpg"),
        ("s3://bucket/in/b?x.jpg", "s3://bucket/in/b?x.jpg"),
        ("https://host:8443/@team/a.png", "https://host:8443/@team/a.png"),
        ("/srv/photographs/a.png", "/srv/photographs/a.png"),
        ("data:image/png;base64,5ecret", "data:image/png;…"),
    ],
)
def test_a_uri_is_shown_without_its_password_and_signature(uri: str, said: str) -> None:
    assert shown(uri) == said
    assert quoted(uri) == repr(said)
    assert SECRET not in public_uri(uri) or uri.startswith("data:")


def test_what_a_text_or_another_value_quotes_is_shown_likewise() -> None:
    text = "403 for 'https://host/a.png?sig=5ecret' (asked as https://user:5ecret@host/), see s3://bucket/a.png"
    assert shown(text) == "403 for 'https://host/a.png' (asked as https://***@host/), see s3://bucket/a.png"
    assert shown({"url": "https://host/a.png?sig=5ecret"}) == "{'url': 'https://host/a.png'}"
    assert cause(OSError("no https://host/a b.png?sig=5ecret")) == "OSError: no https://host/a b.png"
    assert quoted(7) == "7"


def test_a_shown_value_is_one_line_of_a_bounded_length() -> None:
    assert (
        shown("a\nb\x1b[31m\ud800\0")
        == "a b\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    )
    assert len(shown("x" * 10_000)) == MAX_SHOWN + 1
    assert shown("abc", most=2) == "ab…"


LITERAL = [
    *("in/a#1.jpg", "in/b?x.jpg", "100%25 off.jpg", "a+b.jpg", "a b.jpg", "in/a;v=2&w=3.jpg", "photo.jpg?v=1699999999"),
    *(
        "#1/what?.jpg",
        "in/ñ ж 写真.jpg",
        "50% [final] (2).jpg",
        "a%2Fb.jpg",
        "shop?color=red&size=xl.jpg",
        "a=b&c=d#e=f.jpg",
    ),
]


@pytest.mark.parametrize("key", LITERAL)
@pytest.mark.parametrize(
    "place", ["s3://bucket/", "s3a://bucket/", "gs://bucket/", "file:///d/", "s3://aws_default@bucket/"]
)
def test_a_key_is_not_cut_at_signs_that_mean_something_in_http_alone(place: str, key: str) -> None:
    uri = f"{place}{key}"
    assert (shown(uri, most=1000), public_uri(uri)) == (uri, uri)
    assert bare_uri(uri) == uri.replace("aws_default@", "")
    assert f"{place}{key}" in shown(f"character_image {shown(uri)!r} is {uri}") or " " in key


@pytest.mark.parametrize("key", LITERAL)
def test_the_lineage_of_a_key_is_the_key(key: str) -> None:
    assert dataset_name(f"s3://aws_default@bucket/{key}") == ("s3://bucket", key)
    assert dataset_name(f"/d/{key}") == ("file", f"/d/{key}")
    assert dataset_name(PurePosixPath(f"/d/{key}").as_uri()) == ("file", f"/d/{key}")
    assert shown(f"/d/{key}") == f"/d/{key}"


@pytest.mark.parametrize(
    "query",
    [
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=5ecret",
        "?sv=2024-11-04&se=2026-12-01T00%3A00%3A00Z&sig=5ecret",
        "?GoogleAccessId=x&Expires=1&Signature=5ecret",
        "?versionId=1&access_token=5ecret",
        "?api_key=5ecret",
        ";AccountKey=5ecret",
        "?x-goog-signature=5ecret",
    ],
)
@pytest.mark.parametrize("place", ["s3://bucket/a b#1.jpg", "abfs://c@account/a.jpg", "/d/a.jpg", "file:///d/a.jpg"])
def test_a_signature_that_was_pasted_into_a_key_is_hidden(place: str, query: str) -> None:
    assert shown(f"{place}{query}") == place
    assert SECRET not in public_uri(f"{place}{query}") or place.startswith("/")
    assert SECRET not in cause(OSError(f"{place}{query}"))
    assert SECRET not in str(dataset_name(f"{place}{query}")) or place.startswith("/")


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("https://host/a/r.jsonl?sig=1#x", "/a/r.jsonl"),
        ("s3://bucket/a#1/r.jsonl", "a#1/r.jsonl"),
        ("/d/a?/r.jsonl", "/d/a?/r.jsonl"),
        ("simplecache::https://host/r.jsonl?x", "/r.jsonl"),
    ],
)
def test_only_a_web_address_has_a_query_behind_its_key(uri: str, key: str) -> None:
    assert key_of(uri) == key


_WORDS = st.text(alphabet="ab/ .-_~%é", max_size=8)


@given(
    scheme=st.sampled_from(["http", "https", "s3", "gs", "abfs", "simplecache::https", "sftp"]),
    password=st.text(alphabet="ab:/?#%&=.", max_size=5),
    host=st.sampled_from(["host", "host:1", "a.b.example"]),
    path=_WORDS,
    name=st.sampled_from(["sig", "X-Amz-Signature", "token", "a.b"]),
)
def test_no_secret_of_any_uri_is_shown(scheme: str, password: str, host: str, path: str, name: str) -> None:
    uri = f"{scheme}://user:{password}{SECRET}@{host}/{path}?{name}={SECRET}"
    assert SECRET not in shown(uri)
    assert SECRET not in cause(OSError(uri))
    assert SECRET not in public_uri(uri)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("https://pictures.example.com/a.png?X-Amz-Signature=abc#x", ("https://pictures.example.com", "/a.png")),
        ("https://me:pw@pictures.example.com:8443/a.png", ("https://pictures.example.com:8443", "/a.png")),
        ("http://127.0.0.1:8765/outputs/1.png", ("http://127.0.0.1:8765", "/outputs/1.png")),
        ("abfs://azure_default@photos/a.png", ("abfss://photos", "a.png")),
        ("file:///data/a%20b.png", ("file", "/data/a b.png")),
        ("file://nas.example.com/a.png", ("file://nas.example.com", "/a.png")),
        ("/data/a.png", ("file", "/data/a.png")),
        ("pictures/a.png", None),
        ("a woman: with a hat", None),
        ("s3://photos", None),
        ("https://[::1", None),
        ("https://x:99999/", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_no_query_no_password_and_no_name_for_what_is_no_file(uri: object, name: object) -> None:
    assert dataset_name(uri) == name


@given(st.sampled_from(["https", "s3", "gs", "abfss", "file"]), st.text("abc:/@.%#", max_size=12), st.text())
def test_whatever_a_url_looks_like_its_query_is_in_no_name(scheme: str, middle: str, secret: str) -> None:
    name = dataset_name(f"{scheme}://{middle}/a.png?sig=5ecret{secret}")
    assert name is None or "5ecret" not in "".join(name)


@pytest.mark.parametrize(
    ("uri", "bare"),
    [
        ("https://me:pw@x.example/a.png?sig=5ecret#5ecret", "https://x.example/a.png"),
        ("s3://aws_default@photos/a b.png", "s3://photos/a b.png"),
        ("abfss://photos@lake.dfs.core.windows.net/a.png", "abfss://photos@lake.dfs.core.windows.net/a.png"),
        ("https://me:pw@x.example?sig=5ecret", "https://x.example"),
        ("/data/a.png", "file:///data/a.png"),
        ("file:///data/a.png", "file:///data/a.png"),
        ("data/a.png", "data/a.png"),
    ],
)
def test_a_uri_is_told_without_what_may_be_secret(uri: str, bare: str) -> None:
    assert bare_uri(uri) == bare
