"""The results of picture checks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["pass", "warn", "review", "fail"]
ORDER: tuple[Verdict, ...] = ("pass", "warn", "review", "fail")
"""From best to worst. ``warn`` is a remark that stops nothing; ``review`` is doubtful, so that a person has to look."""


@dataclass(frozen=True)
class Check:
    """
    One check of a picture and its result.

    :param name: the check's name in ``docs/quality.md``.
    :param verdict: the result; ``skipped`` if there was nothing to check.
    :param value: the measured value.
    :param threshold: the limit for the value.
    :param why: the reason in words.
    """

    name: str
    verdict: Literal["pass", "warn", "review", "fail", "skipped"]
    value: float | int | str | None
    threshold: float | str | None
    why: str


def judged(name: str, good: bool, value: float, threshold: float | str, why: str) -> Check:
    """Return the check of a measured value that passes or fails."""
    return Check(name, "pass" if good else "fail", round(value, 4), threshold, why)


@dataclass(frozen=True)
class Report:
    """
    All checks of one set of pictures.

    :param kind: ``input`` for pictures not yet paid for, ``swap`` for a result.
    :param checks: in the order in which they ran.
    :param layers: the groups of checks that ran.
    :param seconds: duration, with the reading of the pictures.
    """

    kind: Literal["input", "swap"]
    checks: tuple[Check, ...]
    layers: tuple[str, ...]
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the checks; skipped ones do not count."""
        return max(
            (check.verdict for check in self.checks if check.verdict != "skipped"), key=ORDER.index, default="pass"
        )

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.verdict == "fail")

    @property
    def doubtful(self) -> tuple[Check, ...]:
        """The checks that ask for a person's look."""
        return tuple(check for check in self.checks if check.verdict == "review")

    def summary(self) -> str:
        """Return one line for a log: the verdict, and the reason unless it is a pass."""
        reasons = [f"{check.name}: {check.why}" for check in self.checks if check.verdict in ORDER[1:]]
        text = "; ".join(reasons) or f"{sum(check.verdict == 'pass' for check in self.checks)} checks"
        return " ".join(f"{self.kind} {self.verdict} ({text})".split())

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON and XCom."""
        return {
            "kind": self.kind,
            "verdict": self.verdict,
            "layers": list(self.layers),
            "seconds": round(self.seconds, 4),
            "checks": [asdict(check) for check in self.checks],
        }
