"""A small file never costs much: memory is measured in processes of their own, in bytes for each pixel."""

from __future__ import annotations

import ast
import random
import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

import airflow_provider_segmind
from airflow_provider_segmind.api import media
from airflow_provider_segmind.api.media import MAX_PARTS, MAX_PIXELS
from airflow_provider_segmind.quality.parts import take_apart
from airflow_provider_segmind.quality.reading import TooManyPixelsError, UnreadableError, read, thumbnail
from tests.quality.drawing import encoded, scene

MIB = 2**20

MEASURE = """
import sys, threading
from pathlib import Path
from airflow_provider_segmind.quality import reading

def memory(name):
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index(f"{name}:") + 1]) * 1024

work, file, threads = sys.argv[1], Path(sys.argv[2]).read_bytes(), int(sys.argv[3])
before, problems = memory("VmRSS"), []

def run():
    try:
        reading.read(file) if work == "read" else reading.thumbnail(file, 640)
    except reading.UnreadableError as problem:
        problems.append(problem)

crew = [threading.Thread(target=run) for _ in range(threads)]
for one in crew: one.start()
for one in crew: one.join()
print(memory("VmHWM") - before, len(problems))
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in /proc")


def cost(tmp_path: Path, data: bytes, *, work: str = "thumbnail", threads: int = 1) -> tuple[int, int]:
    """Return the bytes that decoding took at its peak, and how often it was refused."""
    file = tmp_path / "bomb"
    file.write_bytes(data)
    command = (sys.executable, "-c", MEASURE, work, str(file), str(threads))
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    peak, refused = said.split()
    return int(peak), int(refused)


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png(width: int, height: int, *, colour: int = 6, depth: int = 8, more: bytes = b"") -> bytes:
    """Return a PNG of one colour: a thousandth of what it is when it is decoded."""
    row = bytes(1 + width * {0: 1, 2: 3, 6: 4}[colour] * depth // 8)
    packed = zlib.compressobj(9)
    rows = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, colour, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


SIDE = 4000
BOMBS = {
    "PNG with transparency": (lambda: png(SIDE, SIDE), 4.2),
    "PNG, 16 bits": (lambda: png(SIDE, SIDE, colour=0, depth=16), 2.2),
    "PNG, 16 bits and transparency": (lambda: png(SIDE, SIDE, depth=16), 4.2),
    "JPEG": (lambda: encoded(Image.new("RGB", (SIDE, SIDE)), "JPEG"), 0.5),
    "JPEG, progressive CMYK": (lambda: encoded(Image.new("CMYK", (SIDE, SIDE)), "JPEG", progressive=True), 8.2),
    "WebP": (lambda: encoded(Image.new("RGB", (SIDE, SIDE)), "WEBP", method=0), 16.2),
}


@pytest.mark.slow
@linux
@pytest.mark.parametrize("work", ["read", "thumbnail"])
@pytest.mark.parametrize(("make", "bytes_each"), BOMBS.values(), ids=BOMBS)
def test_no_second_picture_of_full_size_is_made_beside_the_decoded_one(tmp_path, make, bytes_each, work):
    peak, refused = cost(tmp_path, make(), work=work)
    assert not refused
    assert peak < bytes_each * SIDE * SIDE + 24 * MIB


@pytest.mark.slow
@linux
def test_pictures_that_threads_decode_share_one_limit(tmp_path):
    """Four of 33 million pixels are decoded one after the other: two are more than the limit."""
    side = 5800
    assert side * side < MAX_PIXELS < 2 * side * side
    peak, refused = cost(tmp_path, png(side, side), threads=4)
    assert not refused
    assert peak < 4.2 * side * side + 4 * 24 * MIB


@pytest.mark.slow
@linux
def test_more_pixels_than_the_limit_are_not_decoded(tmp_path):
    peak, refused = cost(tmp_path, png(13_300, 13_300, colour=0))
    assert refused == 1
    assert peak < 16 * MIB


def test_a_picture_of_any_size_is_refused_with_its_size():
    header = (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    huge = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(TooManyPixelsError) as caught:
        read(huge)
    assert caught.value.size == (60_000, 60_000)


XMP = b"XML:com.adobe.xmp\0\1\0\0\0"
TEXTS = {
    "XMP": lambda: chunk(b"iTXt", XMP + zlib.compress(bytes(50 * MIB), 9)),
    "many": lambda: chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(MIB), 9)) * 100,
    "plain": lambda: chunk(b"tEXt", b"a\0" + bytes(20 * MIB)) * 2,
}


@pytest.mark.slow
@linux
@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
def test_texts_that_are_large_when_they_are_unpacked_do_not_keep_a_picture_from_being_read(tmp_path, texts):
    data = png(600, 600, more=texts())
    peak, refused = cost(tmp_path, data)
    assert not refused
    assert peak < 100 * MIB + 2 * len(data)


def tags(count: int, size: int) -> bytes:
    """Return an EXIF packet whose tags all have the same ``size`` bytes as their value."""
    entries = (struct.pack("<HHII", 1000 + number, 7, size, 8) for number in range(count))
    packet = b"II*\0" + struct.pack("<IH", 8, count) + b"".join(entries) + bytes(4)
    return packet.ljust(8 + size, b"\0")


def segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (2 + len(payload)).to_bytes(2, "big") + payload


def jpeg(more: bytes) -> bytes:
    whole = encoded(scene(64, 64), "JPEG")
    return whole[:2] + more + whole[2:]


def compressed(packet: bytes) -> bytes:
    text = f"\nexif\n{len(packet) + 6:8}\n{(EXIF + packet).hex()}\n".encode()
    return chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text, 9))


EXIF = b"Exif\0\0"
LARGE = tags(15_000, 180_000)
SMALL = b"".join(segment(0xE1, EXIF + LARGE[at : at + 65_000]) for at in range(0, len(LARGE), 65_000))
EXIFS = {
    "PNG, compressed": lambda: png(64, 64, more=compressed(LARGE)),
    "PNG": lambda: png(64, 64, more=chunk(b"eXIf", LARGE)),
    "JPEG": lambda: jpeg(SMALL),
    "WebP": lambda: encoded(scene(64, 64), "WEBP", exif=LARGE),
}


@pytest.mark.slow
@linux
@pytest.mark.parametrize("make", EXIFS.values(), ids=EXIFS)
def test_tags_that_share_their_bytes_take_no_memory_each(tmp_path, make):
    """One after the other was read for the orientation alone: 37 KB of PNG took 2.9 GB."""
    peak, refused = cost(tmp_path, make())
    assert not refused
    assert peak < 24 * MIB


PIECES = {
    "JPEG, EXIF": (jpeg, lambda: segment(0xE1, EXIF + b"x" * 200)),
    "JPEG, comments": (jpeg, lambda: segment(0xFE, b"")),
    "JPEG, profiles": (jpeg, lambda: segment(0xE2, b"ICC_PROFILE\0\1\1")),
    "JPEG, films": (jpeg, lambda: segment(0xE2, b"MPF\0")),
    "PNG, private": (lambda more: png(64, 64, more=more), lambda: chunk(b"prVt", b"")),
    "PNG, texts": (lambda more: png(64, 64, more=more), lambda: chunk(b"tEXt", b"a\0b")),
    "PNG, EXIF": (lambda more: png(64, 64, more=more), lambda: chunk(b"eXIf", tags(1, 8))),
}


@pytest.mark.parametrize(("make", "piece"), PIECES.values(), ids=PIECES)
def test_a_file_in_very_many_parts_is_refused_before_a_decoder_sees_it(make, piece):
    for work in (read, lambda data: thumbnail(data, 640)):
        with pytest.raises(UnreadableError, match=f"^it is in more than {MAX_PARTS} parts$"):
            work(make(piece() * (MAX_PARTS + 1)))
    with pytest.raises(UnreadableError, match=f"^it is in more than {MAX_PARTS} parts$"):
        read(jpeg(b"\xff\xd0" * (MAX_PARTS + 1)))


@pytest.mark.parametrize(("make", "piece"), PIECES.values(), ids=PIECES)
def test_what_a_decoder_sees_does_not_grow_with_what_makes_no_pixels(make, piece):
    """Pillow joins the pieces of EXIF anew for each, and keeps what it does not know."""
    plain, full = make(b""), make(piece() * 30_000)
    kind = media.format_of(plain)
    assert len(take_apart(kind, full).data) < len(plain) + 8192
    assert read(full).size == (64, 64)


def test_a_gap_in_a_jpeg_is_passed_in_one_step_and_kept_from_the_decoder():
    plain, comment = jpeg(b""), segment(0xFE, b"")
    for gap in (b"\xff" * 20 * MIB, b"\0" * 20 * MIB, b"\xff\0" * 10 * MIB):
        assert len(take_apart(media.JPEG, jpeg(comment + gap)).data) <= len(plain)
        assert read(jpeg(comment + gap)).size == (64, 64)


def test_a_jpeg_of_very_large_tables_is_refused():
    with pytest.raises(UnreadableError, match="bytes of tables"):
        read(jpeg(segment(0xDB, (b"\0" + b"\1" * 64) * 1000) * 2))


@pytest.mark.parametrize("size", [(8001, 8000), (13_400, 13_400), (16_383, 16_383)])
def test_a_webp_is_refused_with_its_size_before_there_is_room_for_it(size):
    """Pillow knows only one limit of its own, and says no size."""
    lossy, lossless = (bytearray(encoded(scene(64, 64), "WEBP", lossless=how)) for how in (False, True))
    struct.pack_into("<HH", lossy, lossy.index(b"\x9d\x01\x2a") + 3, *size)
    struct.pack_into("<I", lossless, 21, size[0] - 1 | (size[1] - 1) << 14)
    canvas = b"VP8X" + struct.pack("<II", 10, 0) + b"".join((side - 1).to_bytes(3, "little") for side in size)
    body = b"WEBP" + canvas + encoded(scene(64, 64), "WEBP")[12:]
    for data in (bytes(lossy), bytes(lossless), b"RIFF" + len(body).to_bytes(4, "little") + body):
        with pytest.raises(TooManyPixelsError) as caught:
            thumbnail(data, 640)
        assert caught.value.size == size


def test_a_jpeg_of_very_many_scans_is_refused():
    whole = encoded(scene(600, 600), "JPEG", progressive=True)
    begin = whole.index(b"\xff\xda")
    scan = whole[begin : whole.index(b"\xff", begin + 20)]
    with pytest.raises(UnreadableError, match="more than 40 scans"):
        read(whole[:-2] + scan * 100 + whole[-2:])
    assert read(whole).size == (600, 600)


def test_a_film_behind_a_phones_photograph_is_not_taken_for_scans():
    film = random.Random(1).randbytes(12 * MIB)  # noqa: S311
    assert film.count(b"\xff\xda") > 100
    assert read(encoded(scene(600, 600), "JPEG") + film).size == (600, 600)


OTHERS = ("GIF", "TGA", "IM", "SPIDER", "PPM", "ICO", "TIFF", "BMP", "PCX", "SGI", "DDS", "EPS")


@pytest.mark.filterwarnings("ignore:IM image format is deprecated")
@pytest.mark.parametrize("kind", OTHERS)
def test_no_decoder_is_reached_that_nobody_asked_for(kind):
    out = BytesIO()
    Image.new("F" if kind == "SPIDER" else "RGB", (64, 64)).save(out, kind)
    for work in (read, lambda data: thumbnail(data, 640)):
        with pytest.raises(UnreadableError, match=r"it is no PNG, JPEG or WebP$"):
            work(out.getvalue())


def test_the_beginning_of_a_file_chooses_its_decoder_and_loads_no_other():
    code = (
        "import io, sys\nfrom airflow_provider_segmind.quality import reading\n"
        f"reading.read({encoded(scene(64, 64), 'JPEG')!r})\n"
        "print(*sorted(name for name in sys.modules if name.startswith('PIL.') and name.endswith('ImagePlugin')))"
    )
    said = subprocess.run((sys.executable, "-c", code), check=True, capture_output=True, text=True, timeout=60).stdout
    assert set(said.split()) <= {
        "PIL.JpegImagePlugin", "PIL.PngImagePlugin", "PIL.WebPImagePlugin"
    }  # fmt: skip


def test_one_module_opens_pictures():
    root = Path(airflow_provider_segmind.__file__).parent
    opening = set()
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "open" and ast.unparse(node.value) == "Image":
                opening.add(file.relative_to(root).as_posix())
    assert opening <= {"emulator/paint.py"}, "the emulator shares no code with the client"


@pytest.mark.parametrize("size", [(70_000, 1), (1, 70_000)])
def test_a_picture_with_a_side_that_needs_large_tables_is_not_decoded(size):
    with pytest.raises(TooManyPixelsError, match="a side may have 65535"):
        read(png(*size))


def test_a_colour_profile_that_is_too_large_does_not_keep_a_picture_from_being_read():
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(3 * MIB)))
    assert read(png(64, 48, more=profile)).size == (64, 48)
