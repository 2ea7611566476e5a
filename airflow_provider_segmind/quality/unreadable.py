"""Why a picture cannot be read, in words that say what to do."""

from __future__ import annotations

from airflow_provider_segmind.api import media

MAX_SIDE = 65_535
"""Most pixels of one side, as in a JPEG; the decoder needs tables for each row, or copies of a whole row."""


class UnreadableError(ValueError):
    """The bytes are no picture, or an incomplete one, or one too large to open."""


class UnusableError(UnreadableError):
    """The picture is whole, and cannot be made into one that Segmind reads right; the message says what to do."""


class NoDecoderError(UnreadableError):
    """The picture is of a format whose decoder is not installed."""


class TooDearError(UnreadableError):
    """Decoding the picture would take more memory than there is for it."""

    def __init__(self, size: tuple[int, int], kind: media.Format, needed: int, most: int) -> None:
        super().__init__(
            f"{size[0]} x {size[1]} pixels of a {kind.name} take {needed // 2**20} MiB to decode, and there are "
            f"{max(0, most) // 2**20} for it: export it as a JPEG that is not progressive, or smaller"
        )


class TooManyPixelsError(UnreadableError):
    """A picture has too many pixels to decode; it may also be incomplete."""

    def __init__(self, size: tuple[int, int], max_pixels: int) -> None:
        limit = f"a side may have {MAX_SIDE}" if max(size) > MAX_SIDE else f"max_pixels is {max_pixels}"
        super().__init__(f"{size[0]} x {size[1]} pixels are too many: {limit}")
        self.size = size
