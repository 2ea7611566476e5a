"""Pictures drawn for these tests, as the service or a camera could have saved them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image, ImageCms

JPEG, PNG, WEBP = "image/jpeg", "image/png", "image/webp"


def picture(mode: str = "RGB", size: tuple[int, int] = (61, 37)) -> Image.Image:
    """Return a gradient of odd sides, so that padding and sizes less one are exercised."""
    width, height = size
    bands = [Image.linear_gradient("L").resize(size).rotate(90 * turn, expand=False) for turn in range(len(mode))]
    image = Image.merge(mode, bands) if len(mode) > 1 else bands[0]
    image.putpixel((width // 2, height // 2), 255 if len(mode) == 1 else (255, 0, 9, 40)[: len(mode)])
    return image


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x010E] = "a person before a wall"
    exif[0x0112] = 6
    return exif.tobytes()


def _icc() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _frames(mode: str) -> dict[str, Any]:
    return {"save_all": True, "append_images": [picture(mode).rotate(90), picture(mode).rotate(180)], "duration": 40}


def pictures() -> dict[str, tuple[bytes, str]]:
    """Return files by name, each with its media type."""
    both = {"exif": _exif(), "icc_profile": _icc()}
    rgb, rgba, gray = picture(), picture("RGBA"), picture("L")
    return {
        "jpeg": (saved(rgb, "JPEG"), JPEG),
        "jpeg, progressive": (saved(rgb, "JPEG", progressive=True), JPEG),
        "jpeg, gray": (saved(gray, "JPEG"), JPEG),
        "jpeg, restart markers": (saved(rgb, "JPEG", restart_marker_blocks=2), JPEG),
        "jpeg, EXIF and ICC": (saved(rgb, "JPEG", **both), JPEG),
        "png": (saved(rgb, "PNG"), PNG),
        "png, alpha": (saved(rgba, "PNG"), PNG),
        "png, palette": (saved(rgb.quantize(16), "PNG"), PNG),
        "png, EXIF and ICC": (saved(rgb, "PNG", **both), PNG),
        "png, animated": (saved(rgb, "PNG", **_frames("RGB")), PNG),
        "webp, lossy": (saved(rgb, "WEBP"), WEBP),
        "webp, lossy with alpha": (saved(rgba, "WEBP"), WEBP),
        "webp, lossless": (saved(rgb, "WEBP", lossless=True), WEBP),
        "webp, lossless with alpha": (saved(rgba, "WEBP", lossless=True), WEBP),
        "webp, EXIF and ICC": (saved(rgb, "WEBP", **both), WEBP),
        "webp, animated": (saved(rgba, "WEBP", **_frames("RGBA")), WEBP),
    }
