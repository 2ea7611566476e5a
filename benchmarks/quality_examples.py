"""The table of checks in the results: what each sees, an example, its limits, and how often it was right."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from airflow_provider_segmind.quality.inspect import DEFAULTS
from airflow_provider_segmind.quality.rules import RULES
from benchmarks import results
from benchmarks.quality_scenes import emulated
from benchmarks.quality_swaps import pairs
from benchmarks.quality_verdicts import Outcome

_HEAD = """\
### Each check of a result

What each sees, with an example; from which value it asks for a look (`review`), and from which it fails; the name of
its threshold; and how many swaps of the set it stops, for a look or for good.
[Checks of pictures](../docs/quality.md#afterwards-check_swap) explains them.
"""
_FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images" / "checks"
_SIZE = (96, 128)
_RULED = {rule.check: rule.threshold for rule in RULES}
# Check, threshold, the kind of bad swap that shows it, and what a person sees.
CHECKS: tuple[tuple[str, str, str, str], ...] = (
    ("resolution", "min_resolution_share", "thumbnail", "shorter side, as a share of the source's or of 512 pixels"),
    (
        "aspect_ratio_delta",
        "max_aspect_ratio_delta",
        "squashed",
        "other width to height, beyond a crop",
    ),
    ("contrast", "min_contrast", "grey", "blank or faint: standard deviation of the luma, 0 to 127.5"),
    (
        "flat_area_increase",
        "max_flat_area_increase",
        "lower half grey",
        "more blocks of one colour, share of all",
    ),
    (
        "changed_area_fraction",
        "min_changed_area",
        "identical",
        "the source came back: share that changed",
    ),
    ("mirrored", "max_mirrored_gain", "mirrored", "left and right exchanged: less changed beside the mirrored source"),
    ("noise", "max_noise", "noise", "noise: steps from pixel to pixel, times the source's"),
    ("compression", "max_quantization", "JPEG of quality 4", "saved too small: mean step of a JPEG's levels, of 255"),
    (
        "reference_returned",
        "reference_returned_bits",
        "reference returned",
        "the reference came back: bits of 64",
    ),
    ("person_count", "", "person twice", "more persons than on the source, or none"),
    (
        "background_psnr",
        "min_background_psnr",
        "background replaced",
        "another background: PSNR, dB",
    ),
    ("background_ssim", "min_background_ssim", "another scene", "another background: SSIM of its luma"),
    ("background_luminance_shift", "max_background_luminance_shift", "darkened", "lighter or darker, of 255"),
    (
        "background_color_shift",
        "max_background_color_shift",
        "warm cast",
        "another tint, of 255; or a lost profile",
    ),
    ("subject_ssim", "max_subject_ssim", "re-encoded", "the old person: SSIM over the subject"),
    ("stretched", "", "squashed", "everything wider or narrower, by how much"),
    ("shifted", "", "shifted 8 %", "shifted or zoomed, as a share of its side"),
    ("empty_rows", "", "third grey", "rows or columns that show nothing any more"),
    ("colour", "", "black and white", "black and white: share of the colour that is left"),
    ("sharpness", "", "heavy blur", "all or a half is blurred: strength of the hardest edges, times the source's"),
    ("background_changed", "", "corner black", "share of it with other colours"),
    ("background_saturation", "", "red and blue exchanged", "garish, pale or other hues: factor of its colours"),
    ("background_detail", "", "background blurred", "out of focus or coarse: strength of its detail"),
    ("background_grain", "", "grain", "grainy, of 255"),
    ("background_erased", "", "few colours", "share of it that lost all structure"),
    ("background_smeared", "", "rows torn", "one place lost its detail, others did not: share"),
    ("background_taken", "", "second person", "share of it where a person stands now"),
    ("new_lines", "", "watermark", "text, watermark, stripes: share of it that is a new line"),
    ("new_mark", "", "logo", "a logo or an object: density of new lines"),
    ("new_object", "", "object added", "one new thing off the person, no shadow: share of the picture"),
    ("cells", "", "mosaic", "a mosaic: how many times more straight lines"),
    (
        "text",
        "",
        "caption",
        "a text, on the clothes too if the reference has none as dense: density of new hard edges along a line",
    ),
    (
        "straight_edge",
        "",
        "eyes covered",
        "a bar, a patch or a seam: length of a new straight edge, in faces or quarters of a side",
    ),
    ("turned", "", "upside down", "another way up: degrees"),
    ("subject_contrast", "", "see-through", "pale or seen through: range of light on the person, times the old one's"),
    ("face_lost", "", "face covered", "no face, or no body, where one was: fall of its score, also seen closer"),
    (
        "face_detail",
        "",
        "face blurred",
        "a blurred face: strength of its detail, times the old one's or the reference's",
    ),
    ("face_flat", "", "face mosaic", "parts of a face that are flat: covered, or cells: share"),
    ("subject_grain", "", "person noisy", "a grainy person: even its smoother places, of 255"),
    ("face_colour", "", "negative", "a blue or green face: by how much of its red it is redder"),
    ("subject_there", "", "person removed", "a half of the person, or all, is missing: likelihood, times the source's"),
    ("old_person", "", "half the old", "the old person is still there: share of a half's or the face's fine detail"),
    ("subject_detail", "", "blurred", "a blurred person: strength of its finest detail"),
    ("subject_erased", "", "lower half grey", "parts of the person lost all detail: share"),
)


def table(outcomes: Sequence[Outcome]) -> str:
    """Return one line for each check."""
    good, bad = ([one for one in outcomes if one.is_good == kind] for kind in (True, False))
    rows = []
    for check, named, _, words in CHECKS:
        name = named or _RULED.get(check, "")
        review = DEFAULTS.review(name) if name else None
        limits = ("-" if review is None else f"{review:g}", f"{getattr(DEFAULTS, name):g}" if name else "-")
        rates = (_rate(check, bad), _rate(check, good))
        picture = f"![{check}](../docs/images/checks/{check}.webp)"
        rows.append((f"`{check}`", picture, words, *limits, f"`{name}`" if name else "-", *rates))
    head = ("check", "example", "what it sees", "review", "fails", "threshold", "of bad", "of good")
    return results.table(head, rows)


def _rate(check: str, outcomes: Sequence[Outcome]) -> str:
    seen = [one.checks[check][0] in ("review", "fail") for one in outcomes if check in one.checks]
    return f"{sum(seen) / len(seen):.1%}" if seen else "-"


def write(outcomes: Sequence[Outcome], path: Path = results.RESULTS) -> None:
    """Draw the examples, and put the table into the results."""
    results.write("checks", f"{_HEAD}\n{table(outcomes)}", path)
    _FOLDER.mkdir(parents=True, exist_ok=True)
    drawn = [base for base in emulated() if base.framing == "full body"]
    made = {pair.variant: pair.result for pair in pairs(drawn, drawn[0].name)}
    for check, _, kind, _ in CHECKS:
        with Image.open(io.BytesIO(made[kind])) as image:
            small = image.convert("RGB")
            small.thumbnail(_SIZE, Image.Resampling.LANCZOS)
            small.save(_FOLDER / f"{check}.webp", quality=60)
