"""What a picture's XMP says already stays, a signature is never broken, and damaged files are refused."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.provenance.label import AI_COMPOSITE, has_c2pa, label, source_type
from airflow_provider_segmind.provenance.xmp import source_type_of, with_source_type
from tests.provenance.drawn import JPEG, PNG, WEBP, picture, pictures, saved

IPTC = 'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
KINDS = [pytest.param(kind, f"image/{kind.lower()}", id=kind) for kind in ("JPEG", "PNG", "WEBP")]


def packet(inside: str = "", attributes: str = "", about: str = "") -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="a tool">'
        '<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><!-- a remark -->'
        f'<r:Description r:about="{about}" xmlns:dc="http://purl.org/dc/elements/1.1/" {IPTC} {attributes}>'
        f"<dc:rights>Jos\u00e9 &amp; Co.</dc:rights>{inside}</r:Description></r:RDF></x:xmpmeta>"
        f'{" " * 200}<?xpacket end="w"?>'
    ).encode()


def with_xmp(kind: str, xmp: bytes) -> bytes:
    if kind == "PNG":
        body = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + xmp
        return into_png(body)
    return saved(picture(), kind, xmp=xmp)


def into_png(*bodies: bytes) -> bytes:
    """Return a PNG with more chunks, which stand before its end, after its picture."""
    data = saved(picture(), "PNG")
    chunks = b"".join((len(b) - 4).to_bytes(4, "big") + b + zlib.crc32(b).to_bytes(4, "big") for b in bodies)
    return data[:-12] + chunks + data[-12:]


def xmp_of(data: bytes) -> bytes:
    with Image.open(BytesIO(data)) as image:
        image.load()
        found: Any = image.info["xmp"]
        return found.encode() if isinstance(found, str) else bytes(found)


@pytest.mark.parametrize(("kind", "media_type"), KINDS)
def test_the_other_properties_of_a_packet_are_kept_as_they_are_written(kind: str, media_type: str) -> None:
    labelled = label(with_xmp(kind, packet()), media_type)
    assert source_type(labelled, media_type) == AI_COMPOSITE
    assert "<dc:rights>Jos\u00e9 &amp; Co.</dc:rights>".encode() in xmp_of(labelled)
    assert b'x:xmptk="a tool"' in xmp_of(labelled)
    assert b"<!-- a remark -->" in xmp_of(labelled)
    assert labelled.count(b"<?xpacket begin=") == 1


@pytest.mark.parametrize(("kind", "media_type"), KINDS)
@pytest.mark.parametrize(
    "written",
    [
        {"attributes": 'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/x"'},
        {"inside": "<Iptc4xmpExt:DigitalSourceType> http://cv.iptc.org/x\n</Iptc4xmpExt:DigitalSourceType>"},
        {"inside": '<Iptc4xmpExt:DigitalSourceType r:resource="http://cv.iptc.org/x"/>'},
    ],
    ids=["attribute", "text", "resource"],
)
def test_another_source_type_is_replaced_however_it_is_written(
    kind: str, media_type: str, written: dict[str, str]
) -> None:
    data = with_xmp(kind, packet(**written))
    assert source_type(data, media_type) == "http://cv.iptc.org/x"
    labelled = label(data, media_type)
    assert source_type(labelled, media_type) == AI_COMPOSITE
    assert b"http://cv.iptc.org/x" not in labelled


def test_the_label_is_about_the_same_resource_as_the_rest_of_the_packet() -> None:
    labelled = with_source_type(packet(about="uuid:1"), AI_COMPOSITE, "JPEG")
    assert labelled.count(b'about="uuid:1"') == 2


def test_an_empty_rdf_gets_the_label() -> None:
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    for written in (f'<r:RDF xmlns:r="{rdf}"/>', f'<RDF xmlns="{rdf}" />', f'<x><r:RDF xmlns:r="{rdf}"></r:RDF></x>'):
        labelled = with_source_type(written.encode(), AI_COMPOSITE, "JPEG")
        assert source_type_of(labelled, "JPEG") == AI_COMPOSITE
        assert source_type_of(with_source_type(labelled, AI_COMPOSITE, "JPEG"), "JPEG") == AI_COMPOSITE


def test_a_wrapper_inside_of_a_property_goes_with_it() -> None:
    inside = '<Iptc4xmpExt:DigitalSourceType>a<?xpacket end="w"?>b<r:x>c</r:x></Iptc4xmpExt:DigitalSourceType>'
    labelled = with_source_type(packet(inside), AI_COMPOSITE, "JPEG")
    assert labelled == with_source_type(packet(), AI_COMPOSITE, "JPEG")
    assert source_type_of(packet(inside), "JPEG") == "ab"


def test_line_breaks_in_attributes_survive() -> None:
    labelled = with_source_type(packet(attributes='dc:source="one&#10;two&#9;&#13;three"'), AI_COMPOSITE, "JPEG")
    assert b'dc:source="one&#10;two&#9;&#13;three"' in labelled


def test_a_packet_in_a_png_that_stood_after_the_picture_moves_before_it() -> None:
    labelled = label(with_xmp("PNG", packet()), PNG)
    assert labelled.index(b"XML:com.adobe.xmp") < labelled.index(b"IDAT")
    assert labelled.count(b"XML:com.adobe.xmp") == 1


def test_a_compressed_packet_in_a_png_is_read_and_kept() -> None:
    data = into_png(b"iTXtXML:com.adobe.xmp\0\x01\0\0\0" + zlib.compress(packet()))
    assert "Jos\u00e9".encode() in xmp_of(label(data, PNG))


def test_a_compressed_packet_that_grows_too_large_is_refused() -> None:
    data = into_png(b"iTXtXML:com.adobe.xmp\0\x01\0\0\0" + zlib.compress(b" " * 50_000_000))
    with pytest.raises(InvalidRequestError, match="more than 1048576"):
        label(data, PNG)


HOSTILE = {
    "elements": b"<a/>" * 260_000,
    "attributes": b"<a " + b" ".join(b"a%d=''" % number for number in range(100_000)) + b"/>",
    "comments": b"<!---->" * 149_000,
    "text": b"&amp;" * 200_000,
}


@pytest.mark.parametrize("inside", HOSTILE.values(), ids=HOSTILE)
def test_a_small_file_whose_packet_is_large_takes_little_memory(inside: bytes) -> None:
    whole = packet().replace(b"<dc:rights>", inside + b"<dc:rights>")
    data = into_png(b"iTXtXML:com.adobe.xmp\0\x01\0\0\0" + zlib.compress(whole, 9))
    tracemalloc.start()
    try:
        labelled = label(data, PNG)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert source_type(labelled, PNG) == AI_COMPOSITE
    assert peak < 40 * 2**20, "a tree of these elements takes 400 MB"


@pytest.mark.parametrize(
    ("begin", "part", "media_type"),
    [
        (b"\xff\xd8", b"\xff\xe0\0\2", JPEG),
        (b"\x89PNG\r\n\x1a\n", b"\0\0\0\0abCd" + zlib.crc32(b"abCd").to_bytes(4, "big"), PNG),
        (b"RIFF\xff\xff\x2f\0WEBP", b"abcd\0\0\0\0", WEBP),
    ],
    ids=["JPEG", "PNG", "WebP"],
)
def test_a_file_in_very_many_parts_is_refused_before_they_are_all_taken_apart(
    begin: bytes, part: bytes, media_type: str
) -> None:
    data = begin + part * (3 * 2**20 // len(part))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequestError, match="in more than 32768 parts"):
            label(data + bytes(2**17), media_type)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * 2**20


@pytest.mark.parametrize(("kind", "media_type"), KINDS)
@pytest.mark.parametrize(
    ("xmp", "reason"),
    [
        (b"<x:xmpmeta", "not well-formed"),
        (b"<unbound:prefix/>", "not well-formed"),
        (b"", "not well-formed"),
        (b"<a/>", "no rdf:RDF"),
        ("<a>\u00e9</a>".encode("latin-1"), "not UTF-8"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "DOCTYPE"),
        (b"<a>" * 5000 + b"</a>" * 5000, "nested too deeply"),
    ],
    ids=["cut off", "prefix", "empty", "no RDF", "latin-1", "doctype", "deep"],
)
def test_a_packet_that_cannot_be_read_is_refused_and_not_overwritten(
    kind: str, media_type: str, xmp: bytes, reason: str
) -> None:
    data = with_xmp(kind, xmp or b" ")
    with pytest.raises(InvalidRequestError, match=reason) as caught:
        label(data, media_type)
    assert "Its bytes were not changed" in str(caught.value)


def test_a_packet_is_refused_that_is_too_deep_only_for_being_written() -> None:
    with pytest.raises(InvalidRequestError, match="nested too deeply"):
        with_source_type(packet("<dc:a>" * 5000 + "</dc:a>" * 5000), AI_COMPOSITE, "JPEG")


def test_an_encoding_that_a_packet_declares_is_not_believed() -> None:
    declared = b'<?xml version="1.0" encoding="latin-1"?>' + packet().decode().partition("?>")[2].encode()
    assert "Jos\u00e9".encode() in with_source_type(declared, AI_COMPOSITE, "JPEG")


def test_a_packet_that_no_longer_fits_a_jpeg_segment_is_refused() -> None:
    room = 0xFFFF - 2 - len(b"http://ns.adobe.com/xap/1.0/\0") - len(packet("<dc:source></dc:source>"))
    data = saved(picture(), "JPEG", xmp=packet(f"<dc:source>{'a' * room}</dc:source>"))
    with pytest.raises(InvalidRequestError, match="more than a segment holds"):
        label(data, JPEG)


def signed(kind: str) -> bytes:
    """Return a file with the beginning of a C2PA manifest, where the specification has it."""
    if kind == "PNG":
        return into_png(b"caBXjumb")
    data = saved(picture(), kind)
    if kind == "JPEG":
        box = b"JP\0\1\0\0\0\1\0\0\0\x40jumb\0\0\0\x1ejumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\3c2pa\0"
        return data[:2] + b"\xff\xeb" + (len(box) + 2).to_bytes(2, "big") + box + data[2:]
    extended = label(data, WEBP)
    body = extended[8:] + b"C2PA\4\0\0\0jumb"
    return b"RIFF" + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize(("kind", "media_type"), KINDS)
def test_a_picture_with_a_c2pa_manifest_is_returned_as_it_came(kind: str, media_type: str) -> None:
    data = signed(kind)
    assert has_c2pa(data, media_type)
    assert label(data, media_type) == data


@pytest.mark.parametrize("name", ["signed.jpg", "signed.png", "signed.webp"])
def test_a_picture_that_c2pa_python_signed_is_returned_as_it_came(name: str) -> None:
    """The stored files were labelled first and then signed by c2pa-python 0.38.1, which reads them as valid."""
    data = (Path(__file__).parent / "stored" / name).read_bytes()
    media_type = {"jpg": JPEG, "png": PNG, "webp": WEBP}[name.partition(".")[2]]
    assert has_c2pa(data, media_type)
    assert label(data, media_type) == data
    assert source_type(data, media_type) == AI_COMPOSITE


@pytest.mark.parametrize(("kind", "media_type"), KINDS)
def test_a_picture_whose_manifest_is_kept_elsewhere_is_returned_as_it_came(kind: str, media_type: str) -> None:
    reference = 'xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="https://example.org/manifest.c2pa"'
    data = with_xmp(kind, packet(attributes=reference))
    assert has_c2pa(data, media_type)
    assert label(data, media_type) == data


@pytest.mark.parametrize(("kind", "media_type"), KINDS)
def test_a_picture_without_a_manifest_is_not_taken_for_a_signed_one(kind: str, media_type: str) -> None:
    assert not has_c2pa(with_xmp(kind, packet()), media_type)
    assert not has_c2pa(with_xmp(kind, b"<not XML"), media_type)


def test_another_type_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequestError, match="image/avif"):
        label(b"", "image/avif")


def test_a_picture_of_another_type_than_it_is_said_to_be_is_refused() -> None:
    for data, media_type in pictures().values():
        for other in {JPEG, PNG, WEBP} - {media_type}:
            with pytest.raises(InvalidRequestError, match="does not begin as"):
                label(data, other)


@pytest.mark.parametrize(("data", "media_type"), [pytest.param(*file, id=name) for name, file in pictures().items()])
def test_a_file_that_is_cut_off_anywhere_is_refused(data: bytes, media_type: str) -> None:
    for length in random.Random(1).sample(range(len(data)), 100):  # noqa: S311
        with pytest.raises(InvalidRequestError):
            label(data[:length], media_type)


@pytest.mark.parametrize(
    ("data", "media_type", "reason"),
    [
        (b"\xff\xd8\xff\xd9", JPEG, "does not belong"),
        (b"\xff\xd8\xff\xff\xff", JPEG, "ends before"),
        (b"\xff\xd8\xff\x01\xff\xe0\0\1", JPEG, "wrong length"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xaeB`\x82", PNG, "no picture"),
        (into_png(b"iTXtXML:com.adobe.xmp\0\0\0"), PNG, "malformed"),
        (into_png(b"iTXtXML:com.adobe.xmp\0\1\0\0\0no"), PNG, "unpacked"),
        (into_png(b"iTXtXML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"a" * 99)[:-4]), PNG, "compressed XMP chunk"),
        (saved(picture(), "PNG").replace(b"IDAT", b"IDAt"), PNG, "checksum"),
        (b"RIFF\4\0\0\0WEBP", WEBP, "no picture"),
        (b"RIFF\x16\0\0\0WEBPVP8X\2\0\0\0\0\0VP8 \0\0\0\0", WEBP, "too short"),
        (b"RIFF\x0c\0\0\0WEBPVP8 \1\0\0\0", WEBP, "wrong length"),
        (b"RIFF\x0c\0\0\0WEBPVP8L\0\0\0\0", WEBP, "no size"),
        (b"RIFF\x0c\0\0\0WEBPVP8 \0\0\0\0", WEBP, "no size"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused_with_what_is_wrong(data: bytes, media_type: str, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        label(data, media_type)


_FILES = [
    *pictures().values(),
    *((with_xmp(kind, packet()), f"image/{kind.lower()}") for kind in ("JPEG", "PNG", "WEBP")),
]


@given(st.sampled_from(_FILES), st.data())
def test_a_damaged_file_is_labelled_or_refused_and_never_anything_else(file: tuple[bytes, str], data: Any) -> None:
    """Whatever is written over a few bytes, the label is either readable afterwards or an error says why not."""
    damaged, media_type = bytearray(file[0]), file[1]
    places = st.integers(0, min(len(damaged), 4000) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=5)):
        damaged[place] = value
    try:
        labelled = label(bytes(damaged), media_type)
        assert has_c2pa(labelled, media_type) or source_type(labelled, media_type) == AI_COMPOSITE
    except InvalidRequestError:
        pass


@given(st.binary(max_size=300), st.sampled_from([JPEG, PNG, WEBP]))
def test_bytes_of_any_kind_are_refused_or_labelled(data: bytes, media_type: str) -> None:
    begin = {JPEG: b"\xff\xd8", PNG: b"\x89PNG\r\n\x1a\n", WEBP: b"RIFF\x20\0\0\0WEBPVP8 "}[media_type]
    with pytest.raises(InvalidRequestError):
        label(begin + data, media_type)


@given(st.text(max_size=60))
def test_any_text_in_a_packet_survives(text: str) -> None:
    legal = "".join(c for c in text if c.isprintable() or c in "\t\n\r")
    before = packet(f"<dc:source>{escape(legal, {chr(13): '&#13;'})}</dc:source>", f"dc:creator={quoteattr(legal)}")
    after = with_source_type(before, AI_COMPOSITE, "JPEG")
    assert source_type_of(after, "JPEG") == AI_COMPOSITE
    described = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
    old, new = (next(ElementTree.fromstring(p.decode().strip("\ufeff")).iter(described)) for p in (before, after))  # noqa: S314
    assert new.attrib == old.attrib
    assert [(e.tag, e.text) for e in new] == [(e.tag, e.text) for e in old]
