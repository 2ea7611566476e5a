"""
Tell what a file of a person is by its bytes, unpack it and find its encoding. Pure.

The file may be any file, so no message repeats anything of it.
"""

from __future__ import annotations

import gzip
import io
import logging
import re
import zipfile
import zlib

from airflow_provider_segmind.api.errors import InvalidRequestError

log = logging.getLogger(__name__)

MAX_MANIFEST = 64 * 1024 * 1024
"""Largest manifest in bytes, also unpacked."""

_GZIP = b"\x1f\x8b"
_AS_CSV = "Export it as CSV UTF-8."
_PACKED = "Unpack it: a manifest is one file, alone or as .csv.gz."
_BINARY = (
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls), or one with a password", _AS_CSV),
    (rb"%PDF-", "a PDF document", "Export the table from where it was made, as CSV UTF-8."),
    (rb"\{\\rtf", "a document of a word processor (RTF)", "Export the table as CSV UTF-8."),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|BM.{4}\0\0\0\0|II\*\0|MM\0\*|RIFF.{4}WEBP|.{4}ftyp", "a picture or a film",
     "A manifest lists the pictures' URIs."),
    (rb"7z\xbc\xaf|Rar!|BZh[1-9]1AY|\xfd7zXZ|\x28\xb5\x2f\xfd|.{257}ustar", "an archive", _PACKED),
    (rb"PAR1", "a Parquet file", "Write it as CSV UTF-8 or JSON Lines."),
    (rb"SQLite format 3\0", "a SQLite database", _AS_CSV),
)  # fmt: skip
_ZIPPED = (
    (r"xl/workbook\.bin", "a binary Excel workbook (.xlsb)", "Save it as an Excel workbook (.xlsx) or CSV UTF-8."),
    (r"Index/Document\.iwa|Index\.zip", "a Numbers document",
     "In Numbers: File > Export To > CSV, with the encoding Unicode (UTF-8)."),
    (r"content\.xml", "an OpenDocument file (.ods)",
     "In LibreOffice: File > Save As > Text CSV, with the character set Unicode (UTF-8)."),
    (r"word/|ppt/", "an Office document, but no workbook", "Export the table as CSV UTF-8."),
)  # fmt: skip
_WEB_PAGE = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|meta|table)\b", re.I | re.S
)
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# What text of Western Europe does not have: letters of UTF-8 (also in half of a file), words of scripts whose letters
# all are above ASCII, what a Mac's or DOS's é, ü and ä become after a letter, what a Polish ż or ł becomes in a word.
_NOT_WESTERN = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\x80-\xff]{4}|[a-z][\x82\x84\x86-\x8c\x8e\x98\x9f]"
    rb"|[a-z][\xc0-\xd6\xd8-\xde]|[\x8a\x8c\x8e\x9a\x9c\x9e\x9f][\xa1-\xaa\xac-\xb6\xbc-\xbf]"
    rb"|[A-Za-z\xc0-\xff][\xa1-\xac\xae-\xb6\xb8-\xbf][a-z]"
)
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f\x7f]")
_LINE = re.compile(rb"[^\r\n]+")
_SAME_DIGITS = bytes.maketrans(b"123456789", b"000000000")

# What other code pages make of words, read as cp1252. None of it is in words of German, French, Spanish, Portuguese,
# Italian, Dutch or a Nordic language, but for Icelandic, whose letters are those of a Turkish text.
_OTHER_WORDS = re.compile(
    r"[ðþý]|õ(?!e)|ã[bcdfgjklnpqrtvwx]"  # Turkish, Baltic, Czech; Hungarian; Romanian
    r"|è(?:[aeouykáéíóúý]|i(?!x)|n[aou])|[^\W\d][ìù][^\W\d]"  # Czech, Slovene
    r"|[aoyj]œ|œci|ê[zk]|[^\W\d]£[^\W\d]|yû|û[kghjv]"  # Polish, Hungarian
    r"|î[bdghjkprvz]|â[jkz]|ç[bcdfghjklnpqrstvwxz]|ò[aeu]"  # Latvian
    r"|[^\W\d]ñ(?![aeiouáéíóúü])|œ[rwkz]|(?:[aeouy]|[^\Wr]i)æ\b|(?<![\w.])º[^\W\d]"  # Polish, Croatian, Romanian
    r"|[^\W\d][âî]\b|\b(?![çà]+\b|[äöüåæøß]+\b)[à-ÿ]{2,3}\b"  # Latvian; short words in Cyrillic or Greek
    r"|ž[bcdfghjklmnpqrstvwxz]|š[bfhsx]|(?<![\w.…])[…†€™ƒ][a-z]{2}|\u02c6"  # of a Mac or DOS
    r"|ƒ[^\s\d.,(/-]|¤[^\s\d.,]|[¥¦¨¬][^\W\d_]|[\u00d7÷][à-ÿ]|\bÿ\b"  # Japanese katakana; Chinese; single letters
    r"|[a-z][\u2018\u201c\u201d][a-z]|ÿ[bcdfghjklmnpqrtvwxz]|[^\W\d]§",
    re.IGNORECASE,
)
_CZECH, _DANISH = frozenset("ìèíýžšëûî"), frozenset("æå")


def _is_western(data: bytes) -> bool:
    """Whether bytes seem to be text in cp1252; may raise a ``UnicodeDecodeError``."""
    if _CONTROL.search(data):
        return False
    # Each word once: no pattern has a blank or tells digits apart, and most words of a manifest are ASCII or the same.
    words: set[bytes] = set()
    for found in _LINE.finditer(data.translate(_SAME_DIGITS)):
        line = found[0]
        if not line.isascii():
            if _is_slavic(line.decode("cp1252").lower()):
                return False
            words.update(word for word in line.split() if not word.isascii())
    joined = b" ".join(words)
    return not _NOT_WESTERN.search(joined) and not _OTHER_WORDS.search(joined.decode("cp1252"))


def _is_slavic(line: str) -> bool:
    # The Polish ż seems to be ¿, which begins a question; the Czech ř seems to be ø.
    if line.rfind("¿") > line.rfind("?"):
        return True
    return "ø" in line and bool(_CZECH.intersection(line)) and not _DANISH.intersection(line)


def unpacked(data: bytes) -> bytes:
    """
    Return a file's bytes, out of a gzip file if it is one.

    :raises InvalidRequestError: if it is cut off, broken or too large.
    """
    if not data.startswith(_GZIP):
        return data
    try:
        text = unpack(data, MAX_MANIFEST + 1)
    except (OSError, EOFError, zlib.error):
        raise InvalidRequestError("the gzip file is broken or cut off: pack it again") from None
    if len(text) > MAX_MANIFEST:
        raise InvalidRequestError(f"it is larger than {MAX_MANIFEST // 2**20} MiB when it is unpacked: split it")
    return text


def unpack(data: bytes, most: int) -> bytes:
    """
    Return at most so many bytes out of gzip's or zlib's.

    :raises OSError, EOFError, zlib.error: if they are broken, or their end is missing.
    """
    if data.startswith(_GZIP):
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(most)
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(data, most)
    if len(text) < most and not unpacker.eof:
        raise EOFError
    return text


def is_workbook(data: bytes) -> bool:
    """
    Whether this is an Excel workbook; return false for what can be a text.

    :raises InvalidRequestError: if it is a kind of file that is not read; says which, and what to do.
    """
    head = data[:300]
    if head.startswith(b"PK\x03\x04"):
        return _is_zipped_workbook(data)
    for beginning, kind, remedy in _BINARY:
        if re.match(beginning, head, re.DOTALL):
            raise _named(kind, remedy)
    return False


def encoding_of(data: bytes, *, western: bool = True) -> str:
    """
    Return the name of a text's encoding, in which all of it can be decoded.

    :param western: whether the encoding of Windows counts; there is none of it in JSON.
    :raises InvalidRequestError: if there is none; says what was tried.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None) or _wide(data[:64]) or "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        return _western(data, encoding, error, western=western)
    if _WEB_PAGE.match(text[:4096]):
        raise _named(
            "a web page",
            "Publish the sheet as CSV (Google Sheets: File > Share > Publish to web > Comma-separated values) and give "
            "that URL, or export it as CSV UTF-8.",
        )
    if re.match(r"\s*<", text[:4096]):
        raise _named("XML or HTML", _AS_CSV)
    if "\0" in text:
        raise _named("a binary file", _AS_CSV)
    return encoding


def _wide(head: bytes) -> str | None:
    """Return UTF-16 without a mark, which is plain by the NULs in its header."""
    even, odd = head[::2], head[1::2]
    if len(head) > 8 and odd.count(0) > len(odd) * 0.9 and not even.count(0):
        return "utf-16-le"
    return "utf-16-be" if len(head) > 8 and even.count(0) > len(even) * 0.9 and not odd.count(0) else None


def _western(data: bytes, encoding: str, error: UnicodeDecodeError, *, western: bool) -> str:
    if encoding != "utf-8":
        name = encoding.removesuffix("-sig").removesuffix("-le").removesuffix("-be").upper()
        raise InvalidRequestError(f"it begins as {name} and is broken at byte {error.start}: export it as CSV UTF-8")
    newline = b"\n" if b"\n" in data else b"\r"
    number = data.count(newline, 0, error.start) + 1
    column = error.start - data.rfind(newline, 0, error.start) - 1
    said = f"line {number}: it is not UTF-8 ({error.reason} at byte {column})"
    if not western:
        raise InvalidRequestError(said)
    try:
        western = _is_western(data)
    except UnicodeDecodeError:
        western = False
    if not western:
        raise InvalidRequestError(
            f"{said}, and no text in the encoding of Windows (cp1252) either: export it as CSV UTF-8"
        ) from None
    log.warning(
        "The manifest was read as cp1252, the encoding of Windows, since it is not UTF-8 (from line %d on). If letters "
        "are wrong in the results, export it as CSV UTF-8.",
        number,
    )
    return "cp1252"


def _is_zipped_workbook(data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise InvalidRequestError("it is a broken or cut off zip file or Excel workbook: save it again") from None
    if "xl/workbook.xml" in names:
        return True
    for pattern, kind, remedy in _ZIPPED:
        if any(re.match(pattern, name) for name in names):
            raise _named(kind, remedy)
    raise _named("a zip archive", _PACKED)


def _named(kind: str, remedy: str) -> InvalidRequestError:
    return InvalidRequestError(f"it is {kind}, which is not read. {remedy}")
