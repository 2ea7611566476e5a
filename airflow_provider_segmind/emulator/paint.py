"""Swap two people by plain image processing, enough to see which result belongs to which inputs."""

from __future__ import annotations

import io

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps, ImageStat

from airflow_provider_segmind.emulator.segment import Box, Subject, find_subject

MAX_SIDE = 6000
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_MARGIN = 10
_LIGHT_SHARE = 0.2
_LIGHT_RANGE = (0.86, 1.08)


class NotAPictureError(ValueError):
    """The bytes are no usable picture."""


def swap(scene: bytes, person: bytes) -> bytes:
    """
    Return the scene with its person replaced, as a PNG of the scene's size.

    Outside the old and the new person and a small margin, every pixel stays the same.

    :raises NotAPictureError: If one of the pictures cannot be read.
    """
    before, reference = _opened(scene), _opened(person)
    old, new = find_subject(before), find_subject(reference)
    target = old.box if old else _middle(before.size)
    background = old.background if old else before
    cutout = _cut_out(reference, new) if new else _feathered_middle(reference)
    if old and new:
        cutout = _in_light_of(cutout, before, old, reference, new)
    figure, place = _fitted(cutout, new.box if new else None, target)
    result = _softly_joined(before, background, old)
    result.paste(figure.convert("RGB"), place, figure.getchannel("A"))
    file = io.BytesIO()
    result.save(file, "PNG", compress_level=4)
    return file.getvalue()


def _opened(data: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            if max(picture.size) > MAX_SIDE or min(picture.size) < 16:
                raise NotAPictureError(f"a picture of {picture.size} is too large or too small")
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise NotAPictureError(str(problem)) from problem


def _cut_out(photograph: Image.Image, subject: Subject) -> Image.Image:
    """Return the person on transparency, with the photograph's soft edge."""
    difference = ImageChops.difference(photograph, subject.background)
    red, green, blue = difference.split()
    strongest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    edge = strongest.point(lambda value: max(0, min(255, (value - 12) * 9)))
    # The outermost pixels are half background and would show as a fringe. Clothes of the background's colour leave
    # holes in the difference, which the core fills.
    alpha = (
        ImageChops.lighter(edge, subject.core).filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(0.8))
    )
    cutout = photograph.copy()
    cutout.putalpha(ImageChops.darker(alpha, subject.region))
    return cutout


def _feathered_middle(photograph: Image.Image) -> Image.Image:
    mask = Image.new("L", photograph.size)
    ImageDraw.Draw(mask).ellipse(_middle(photograph.size), 255)
    cutout = photograph.copy()
    cutout.putalpha(mask.filter(ImageFilter.GaussianBlur(min(photograph.size) / 30)))
    return cutout.crop(_middle(photograph.size))


def _middle(size: tuple[int, int]) -> Box:
    width, height = size
    return round(width * 0.22), round(height * 0.08), round(width * 0.78), round(height * 0.95)


def _in_light_of(
    cutout: Image.Image, scene: Image.Image, old: Subject, reference: Image.Image, new: Subject
) -> Image.Image:
    """Shift the person's colours slightly towards the scene's light."""
    there = ImageStat.Stat(scene, ImageOps.invert(old.region)).mean
    here = ImageStat.Stat(reference, ImageOps.invert(new.region)).mean
    low, high = _LIGHT_RANGE
    gains = [min(high, max(low, (max(1.0, a) / max(1.0, b)) ** _LIGHT_SHARE)) for a, b in zip(there, here, strict=True)]
    *colours, alpha = cutout.split()
    lit = [channel.point(_gain_table(gain)) for channel, gain in zip(colours, gains, strict=True)]
    return Image.merge("RGBA", (*lit, alpha))


def _gain_table(gain: float) -> list[int]:
    return [min(255, round(value * gain)) for value in range(256)]


def _fitted(cutout: Image.Image, box: Box | None, target: Box) -> tuple[Image.Image, tuple[int, int]]:
    """Scale a cut-out to the target's height, feet on the same line; return it and its position."""
    left, top, right, bottom = box or (0, 0, *cutout.size)
    scale = (target[3] - target[1]) / (bottom - top)
    # With the margin, so that soft edges are not cut off; pixels outside the picture become transparent.
    piece = cutout.crop((left - _MARGIN, top - _MARGIN, right + _MARGIN, bottom + _MARGIN))
    size = (max(1, round(piece.width * scale)), max(1, round(piece.height * scale)))
    centre = (target[0] + target[2]) / 2
    place = (round(centre - size[0] / 2), round(target[3] + _MARGIN * scale - size[1]))
    return piece.resize(size, Image.Resampling.LANCZOS), place


def _softly_joined(scene: Image.Image, background: Image.Image, old: Subject | None) -> Image.Image:
    if old is None:
        return scene.copy()
    soft = ImageChops.darker(
        old.region.filter(ImageFilter.MinFilter(5)).filter(ImageFilter.GaussianBlur(2)), old.region
    )
    return Image.composite(background, scene, soft)
