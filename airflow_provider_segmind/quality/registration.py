"""Check whether a result's background was moved, zoomed or mirrored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import fft  # now: a process that checks many pictures gives up the right to open a module later
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from airflow_provider_segmind.quality.comparison import BeforeAfter

_SIDE = 96
# A correct result leaves the background in place, except for what models crop to round a size.
_NEAR = 0.03
_FAR = 0.05
_REACH = 0.2
_ZOOMS = (0.77, 0.81, 0.85, 0.89, 0.93, 1.08, 1.12, 1.18, 1.24, 1.3)
_LEAST_OVERLAP = 0.05
# A fit that leaves more than this share of the background's own variance explains nothing: after a model shaded a plain
# wall anew, some other place always fits slightly better, and none fits well.
_UNEXPLAINED = 0.2
# Models and codecs leave noise, so even an exact fit has an error.
_GRAIN = 1.0


@dataclass(frozen=True)
class Move:
    """The best fit of the result's background on the source's, other than straight."""

    evidence: float  # error of the straight fit divided by that of this fit; below 1, straight fits better
    mirrored: bool = False  # left and right exchanged
    zoom: float = 1.0  # of the background in the result
    right: float = 0.0  # share of the width
    down: float = 0.0  # share of the height

    def __str__(self) -> str:
        parts = ["mirrored"] if self.mirrored else []
        if self.zoom != 1:
            parts.append(f"zoomed {self.zoom:.2f} times")
        if abs(self.right) > _NEAR or abs(self.down) > _NEAR:
            parts.append(f"moved by {self.right:+.0%} of the width and {self.down:+.0%} of the height")
        return ", ".join(parts) or "in place"


@dataclass(frozen=True)
class _Layer:
    """A background: 3 x h x w, and h x w where it is known (1) or not (0)."""

    colours: NDArray[np.float64]
    known: NDArray[np.float64]


def move(pair: BeforeAfter) -> Move | None:
    """Return how the background of a pair was moved, or ``None`` if there is too little background."""
    # It computes the fit of every shift up to a fifth of the picture at once, with the sums of D. Padfield, "Masked
    # object registration in the Fourier domain" (IEEE TIP 21, 5, 2012). It uses the remaining error instead of the
    # correlation, since a plain background correlates with itself at any place.
    before, after = _layers(pair)
    height, width = before.known.shape
    spectrum = _Spectrum(before)
    straight = spectrum.errors(after)
    near = spectrum.best(straight, np.maximum(*spectrum.distances) <= _NEAR)
    if near is None:
        return None
    laid = _shifted(after, *near)
    answer = Move(0.0)
    for mirrored, zoom, layer in _candidates(after):
        errors = straight if layer is after else spectrum.errors(layer)
        far = np.maximum(*spectrum.distances) > _FAR if layer is after else np.full(errors.shape, True)
        place = spectrum.best(errors, far)
        if place is None:
            continue
        evidence = _evidence(before, laid, _shifted(layer, *place))
        if evidence > answer.evidence:
            answer = Move(evidence, mirrored, 1 / zoom, -place[1] / width, -place[0] / height)
    return answer


def _layers(pair: BeforeAfter) -> tuple[_Layer, _Layer]:
    height, width = pair.before.shape[:2]
    share = _SIDE / max(height, width)
    size = max(8, round(width * share)), max(8, round(height * share))
    before, after = (
        _Layer(
            np.stack([_resized(colours[..., band], size) for band in range(3)]),
            (_resized(known.astype(np.float32), size) > 0.999).astype(np.float64),
        )
        for colours, known in zip((pair.before, pair.after), pair.backgrounds, strict=True)
    )
    return before, after


def _resized(values: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float64]:
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BOX), np.float64)


def _candidates(after: _Layer) -> Iterator[tuple[bool, float, _Layer]]:
    yield False, 1.0, after
    yield True, 1.0, _Layer(after.colours[..., ::-1], after.known[..., ::-1])
    for zoom in _ZOOMS:
        yield False, zoom, _zoomed(after, zoom)


def _zoomed(layer: _Layer, zoom: float) -> _Layer:
    """Return the layer larger or smaller around its middle, in the same frame."""
    height, width = layer.known.shape
    x, y = width / 2 * (1 - 1 / zoom), height / 2 * (1 - 1 / zoom)
    # Pillow's transform fills the outside with zeros, which marks it as unknown.
    how = (1 / zoom, 0, x, 0, 1 / zoom, y)

    def turned(values: NDArray[np.float64]) -> NDArray[np.float64]:
        image = Image.fromarray(np.ascontiguousarray(values, np.float32))
        made = image.transform((width, height), Image.Transform.AFFINE, how, Image.Resampling.BILINEAR)
        return np.asarray(made, np.float64)

    colours = np.stack([turned(band) for band in layer.colours])
    return _Layer(colours, (turned(layer.known) > 0.999).astype(np.float64))


def _shifted(layer: _Layer, down: int, right: int) -> _Layer:
    height, width = layer.known.shape
    colours, known = np.zeros_like(layer.colours), np.zeros_like(layer.known)
    to = slice(max(0, down), height + min(0, down)), slice(max(0, right), width + min(0, right))
    come = slice(max(0, -down), height + min(0, -down)), slice(max(0, -right), width + min(0, -right))
    colours[:, *to], known[to] = layer.colours[:, *come], layer.known[come]
    return _Layer(colours, known)


def _evidence(before: _Layer, straight: _Layer, other: _Layer) -> float:
    """Compare two fits on the same pixels of the source, so that no fit wins by leaving pixels out."""
    area = (before.known > 0) & (straight.known > 0) & (other.known > 0)
    if area.mean() < _LEAST_OVERLAP:
        return 0.0
    errors = [_error(before.colours[:, area], layer.colours[:, area]) for layer in (straight, other)]
    if errors[1] > _UNEXPLAINED * float(np.mean(np.var(before.colours[:, area], axis=1))):
        return 0.0
    return (errors[0] + _GRAIN) / (errors[1] + _GRAIN)


def _error(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the mean square error after removing an overall change of brightness and colour."""
    return float(np.mean(np.var(one - other, axis=1)))


class _Spectrum:
    """The source's background, prepared to compare it with others at every shift at once."""

    def __init__(self, before: _Layer) -> None:
        height, width = before.known.shape
        self._reach = max(1, int(height * _REACH)), max(1, int(width * _REACH))
        # Room for the shifts, so that what leaves on one side does not enter on the other.
        self._size = _quick(height + self._reach[0] + 1), _quick(width + self._reach[1] + 1)
        down = np.concatenate([np.arange(self._reach[0] + 1), np.arange(-self._reach[0], 0)])
        right = np.concatenate([np.arange(self._reach[1] + 1), np.arange(-self._reach[1], 0)])
        self._shifts = down, right
        self.distances = np.meshgrid(np.abs(down) / height, np.abs(right) / width, indexing="ij")
        self._least = _LEAST_OVERLAP * height * width
        self._known, self._sums, self._squares = self._of(before)

    def _of(self, layer: _Layer) -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.complex128]]:
        # A common offset changes no error, and keeps the sums small.
        values = (layer.colours - 128) * layer.known
        return (
            fft.rfft2(layer.known, self._size),
            fft.rfft2(values, self._size),
            fft.rfft2((values**2).sum(axis=0), self._size),
        )

    def _back(self, spectrum: NDArray[np.complex128]) -> NDArray[np.float64]:
        values = fft.irfft2(spectrum, self._size)
        return np.asarray(values[..., self._shifts[0][:, None], self._shifts[1]], np.float64)

    def errors(self, after: _Layer) -> NDArray[np.float64]:
        """Return the mean square error at each shift; infinite if the overlap is too small."""
        known, sums, squares = (np.conj(part) for part in self._of(after))
        count = self._back(self._known * known)
        enough = count >= self._least
        count = np.maximum(count, 1)
        apart = self._back(self._squares * known + self._known * squares - 2 * (self._sums * sums).sum(axis=0))
        offset = self._back(self._sums * known - self._known * sums)
        errors = (apart / count - (offset**2).sum(axis=0) / count**2) / 3
        return np.where(enough, np.maximum(errors, 0), np.inf)

    def best(self, errors: NDArray[np.float64], among: NDArray[np.bool_]) -> tuple[int, int] | None:
        """Return the shift of the smallest error, as rows down and columns right, or ``None``."""
        allowed = np.where(among, errors, np.inf)
        place = np.unravel_index(np.argmin(allowed), allowed.shape)
        if not np.isfinite(allowed[place]):
            return None
        return int(self._shifts[0][place[0]]), int(self._shifts[1][place[1]])


def _quick(least: int) -> int:
    """Return the next length that is fast for the Fourier transform: a product of 2, 3 and 5."""
    length = least
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1
