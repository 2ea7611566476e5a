"""What is wrong with the address of a picture is named, with what to write instead; what is valid is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.models import DEFAULT_HOST
from airflow_provider_segmind.api.uris import is_signed
from airflow_provider_segmind.api.urls import expiry_of, is_private, origin_of, parse_url
from airflow_provider_segmind.api.workflows import check_image, check_image_url


def said_of(url: str) -> str:
    with pytest.raises(InvalidRequestError) as error:
        check_image_url("character_image", url, DEFAULT_HOST)
    said = str(error.value)
    assert said.startswith("character_image '")
    assert "hunter2" not in said
    assert len(said) < 700
    return said


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://shop.example/a b.jpg", "has a blank in it: write %20"),
        ("https://shop.example/a.jpg https://shop.example/b.jpg", "holds more than one address: give one"),
        ("https://shop.example/a\u00a0b.jpg", "has a blank in it"),
        ("https://shop.example/a\nb.jpg", "line break"),
        ("https://shop.example/a\tb.jpg", "a tab"),
        ("https://shop.example/a\\b.jpg", "backslash"),
        (
            "https://español.example/a.jpg",
            "letters that a URL cannot have (ñ): write it as https://xn--espaol-zwa.example/a.jpg.",
        ),
        ("https://shop.example/niño.jpg", "write it as https://shop.example/ni%C3%B1o.jpg."),
        (
            "https://кофе.рф/фото.jpg?sig=hunter2",
            "https://xn--e1ajmy.xn--p1ai/%D1%84%D0%BE%D1%82%D0%BE.jpg, and encode",
        ),
        ("https://shop.example/写真.jpg", "(写真)"),
        ("https://-ñ-.example/a.jpg", "open it there and copy it"),
        ("https://ñ.example:8443/a.jpg", "https://xn--ida.example:8443/a.jpg"),
        ("https://user:hunter2@shop.example/a.jpg", "a user name or a password before its host"),
        ("https://hunter2@shop.example/a.jpg", "a user name or a password before its host"),
        ("https://my_bucket.s3.amazonaws.com/a.jpg", "an underscore in its host"),
        ("https://shop_1.example/a.jpg?sig=hunter2", "an underscore in its host"),
        ("https://_dmarc.shop.example/a.jpg", "an underscore in its host"),
        ("https://shop!.example/a.jpg", "a sign that no host name has"),
        ("http://shop.example/a.jpg", "begins with http://: write https://"),
        ("HTTP://shop.example/a.jpg", "begins with http://"),
        ("https:///a.jpg", "has no host"),
        ("https://", "has no host"),
        ("https://:443/a.jpg", "has no host"),
        ("https://shop.example:99999/a.jpg", "a port that cannot be read"),
        ("https://shop.example:0/a.jpg", "the port 0"),
        ("https://[::1/a.jpg", "cannot be read"),
        ("www.shop.example/a.jpg", "without its scheme: write https://"),
        ("WWW.shop.example", "without its scheme"),
        ("//cdn.shop.example/a.jpg", "without its scheme"),
        ("https:/shop.example/a.jpg", "misspelled https://"),
        ("https//shop.example/a.jpg", "misspelled https://"),
        ("htps://shop.example/a.jpg", "misspelled https://"),
        ("https:shop.example/a.jpg", "misspelled https://"),
        (r"C:\pictures\a.jpg", "is a path of Windows"),
        ("C:/pictures/a.jpg", "is a path of Windows"),
        (r"\\server\share\a.jpg", "is a path of Windows"),
        ("file:///C:/pictures/a.jpg", "is a path of Windows"),
        ("“https://shop.example/a.jpg”", "in quotation marks"),
        ("\u2018s3://shop/a.jpg\u2019", "in quotation marks"),
        ('"https://shop.example/a.jpg"', "in quotation marks"),
        ("https://shop.example/a.jpg”", "in quotation marks"),
        ("<https://shop.example/a.jpg>", "in quotation marks or brackets"),
        ("«/d/a.jpg»", "in quotation marks"),
        ("\ufeffhttps://shop.example/a.jpg", "the invisible character U+FEFF"),
        ("https://shop.example/a.jpg\u200b", "the invisible character U+200B"),
        ("https://localhost/a.jpg", "in a private network"),
        ("https://192.168.1.5/a.jpg", "in a private network"),
        ("https://[fd00::1]/a.jpg", "in a private network|cannot be read|no host name"),
        ("https://nas.local/a.jpg", "in a private network"),
        ("https://NAS.Local:8443/a.jpg", "in a private network"),
        ("https://photos.corp.internal/a.jpg", "in a private network"),
        ("https://nas.home.arpa/a.jpg", "in a private network"),
        ("https://intranet/a.jpg", "a host without a dot"),
        ("https://exam", "a host without a dot"),
        ("https://shop.example./a.jpg", "a dot too many"),
        ("https://shop..example/a.jpg", "a dot too many"),
        ("https://shop.example/1.jpg?v=1,https://shop.example/2.jpg?v=2", "more than one address"),
        ("https://shop.example/1.jpg|https://shop.example/2.jpg", "more than one address"),
        ("https://shop.example/1.jpg; https://shop.example/2.jpg", "more than one address"),
        ("https://shop.example/1.jpg\nhttps://shop.example/2.jpg", "more than one address"),
        ('https://shop.example/1.jpg","https://shop.example/2.jpg', "more than one address|quotation"),
        ("s3://shop/1.jpg,s3://shop/2.jpg", "more than one address"),
        ("photo.jpg (https://v5.airtableusercontent.com/v3/u/1/x)", "write only the part from https://"),
        ("a.jpg (https://shop.example/1), b.jpg (https://shop.example/2)", "write only the part from https://"),
        ("[x](https://shop.example/1.jpg)", "write only the part from https://"),
        ('=IMAGE("https://shop.example/1.jpg")', "write only the part from https://"),
        ('=HYPERLINK("https://shop.example/1.jpg";"x")', "write only the part from https://"),
        ('["https://shop.example/1.jpg"]', "write only the part from https://"),
        ("see https://shop.example/1.jpg", "write only the part from https://"),
        ("https://shop.example/a.jpg?x=1&amp;y=2", "has &amp; in it"),
        ("data:image/png;base64,hunter2", "is not an https:// URL"),
        ("ftp://shop.example/a.jpg", "is not an https:// URL"),
        ("s3://shop/a.jpg", "is not an https:// URL that Segmind can read: give the operator a storage URI"),
    ],
)
def test_what_is_wrong_is_named(url: str, words: str) -> None:
    said = said_of(url)
    assert any(part in said for part in words.split("|")) or all(part in said for part in words.split(".*")), said
    if url.startswith("https://"):
        assert "not an https:// URL" not in said


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/a.jpg",
        "HTTPS://Shop.Example/a.jpg",
        "  https://shop.example/a.jpg\n",
        "https://shop.example/a_b-c~d.jpg",
        "https://shop.example/a%20b.jpg?X-Amz-Signature=1&x=@:/#f",
        "https://xn--espaol-zwa.example/ni%C3%B1o.jpg",
        "https://shop.example:8443/a.jpg",
        "https://8.8.8.8/a.jpg",
        "https://shop.example/@team/it's.jpg",
        "https://img.example/fit/https://other.example/a.jpg",
        "https://img.example/?url=https://other.example/a.jpg&w=9",
        "https://img.example/w_300,h_300/https://other.example/a.jpg",
        "https://img.example/filters:watermark(https://other.example/l.png,10)/https://other.example/a.jpg",
        "https://web.example/web/2020/https://other.example/a,b|c;d.jpg",
        "https://shop.example/a.jpg?x=1&amplitude=2",
        "https://local.example/a.jpg",
        "https://internal.example/a.jpg",
        "https://[2001:4860:4860::8888]/a.jpg",
        "https://shop.example",
    ],
)
def test_what_is_valid_is_sent_as_it_is(url: str) -> None:
    assert check_image_url("character_image", url, DEFAULT_HOST) == url.strip()


@pytest.mark.parametrize(
    "uri",
    [
        *("s3://shop/a#1.jpg", "/d/a b.jpg", "./www.shop/a.jpg", "pictures/a.jpg", "file:///d/a.jpg", "s3://c:/a.jpg"),
        *("gs://shop/it's", "abfs://c@account/“a”.jpg", "http.jpg", "https.d/a.jpg", "/d/\u200ba.jpg"),
        *(
            "gs://b/https://x.example/a.jpg",
            "/d/a (https:/b).jpg",
            "s3://b/a,b|c;d.jpg",
            "/d/a, b.jpg",
            "s3://b/a&amp;b",
        ),
    ],
)
def test_a_path_and_a_storages_uri_are_not_taken_for_an_address(uri: str) -> None:
    assert check_image("character_image", uri) == uri


@pytest.mark.parametrize(
    ("query", "ends"),
    [
        ("X-Amz-Date=20200101T000000Z&X-Amz-Expires=60&X-Amz-Signature=1", 1577836860),
        ("X-Goog-Date=20200101T000000Z&X-Goog-Expires=60&X-Goog-Signature=1", 1577836860),
        ("x-amz-date=20200101T000000Z&x-amz-expires=60&x-amz-signature=1", 1577836860),
        ("Expires=1577836860&Signature=1&Key-Pair-Id=2", 1577836860),
        ("sv=2024-11-04&se=2020-01-01T00%3A01%3A00Z&sig=1", 1577836860),
        ("se=2020-01-01&sig=1", 1577836800),
        ("X-Amz-Date=yesterday&X-Amz-Expires=60&X-Amz-Signature=1", None),
        ("X-Amz-Date=20200101T000000Z&X-Amz-Signature=1", None),
        ("Expires=soon&Signature=1", None),
        ("token=1", None),
    ],
)
def test_a_signed_url_says_when_it_ends(query: str, ends: float | None) -> None:
    assert expiry_of(f"https://shop.example/a.jpg?{query}") == ends
    assert is_signed(f"https://shop.example/a.jpg?{query}")


def test_a_url_without_a_signature_ends_never() -> None:
    assert expiry_of("https://shop.example/a.jpg?v=1") is None
    assert not is_signed("https://shop.example/a.jpg?v=1&width=200")


def test_an_emulators_pictures_may_be_on_this_machine() -> None:
    for url in ("http://127.0.0.1:8765/a.png", "http://localhost/a.png", "https://192.168.1.5/a.jpg"):
        assert check_image_url("character_image", url, "http://127.0.0.1:8765") == url
    with pytest.raises(InvalidRequestError, match="begins with http://"):
        check_image_url("character_image", "http://shop.example/a.png", "http://127.0.0.1:8765")
    assert not is_private("shop.example")
    assert not is_private("8.8.8.8")


@given(
    st.text("hHtTpPsSxX:/?#@[]\\\\. 1%\u00e9\n", max_size=24)
    | st.from_regex(r"https?://[a-zA-Z0-9.@:\[\]-]{0,14}[/?#]?[a-zA-Z0-9/?#@:]{0,10}", fullmatch=True)
)
def test_the_origin_of_a_url_is_that_of_its_parts_whatever_follows_the_host(url: str) -> None:
    parts = parse_url(url)
    expected = parts and (
        parts.scheme,
        (parts.hostname or "").lower(),
        parts.port or {"https": 443, "http": 80}[parts.scheme],
    )
    assert origin_of(url) == expected
