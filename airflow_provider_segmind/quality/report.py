"""What a check of pictures says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """
    One question to a picture, and its answer.

    :param name: the check's name in ``docs/quality.md``.
    :param verdict: the answer; ``skipped`` when there was nothing to look at.
    :param value: what was measured.
    :param threshold: what it was held against.
    :param why: the answer in words.
    """

    name: str
    verdict: Literal["pass", "warn", "fail", "skipped"]
    value: float | int | str | None
    threshold: float | str | None
    why: str


def judged(name: str, good: bool, value: float, threshold: float | str, why: str) -> Check:
    """Return the answer to a question that a measured value passes or fails."""
    return Check(name, "pass" if good else "fail", round(value, 4), threshold, why)


@dataclass(frozen=True)
class Report:
    """
    All checks of one set of pictures.

    :param kind: ``input`` for pictures not yet paid for, ``swap`` for a result.
    :param checks: in the order in which they were made.
    :param layers: which groups of checks ran.
    :param seconds: how long it took, reading the pictures included.
    """

    kind: Literal["input", "swap"]
    checks: tuple[Check, ...]
    layers: tuple[str, ...]
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the checks; skipped ones do not count."""
        verdicts = {check.verdict for check in self.checks}
        if "fail" in verdicts:
            return "fail"
        return "warn" if "warn" in verdicts else "pass"

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.verdict == "fail")

    def summary(self) -> str:
        """Return one line for a log: the verdict, and why if it is not a pass."""
        reasons = [f"{check.name}: {check.why}" for check in self.checks if check.verdict in ("warn", "fail")]
        text = "; ".join(reasons) or f"{sum(check.verdict == 'pass' for check in self.checks)} checks"
        return " ".join(f"{self.kind} {self.verdict} ({text})".split())

    def to_json(self) -> dict[str, Any]:
        """Return plain values that JSON and XCom can hold."""
        return {
            "kind": self.kind,
            "verdict": self.verdict,
            "layers": list(self.layers),
            "seconds": round(self.seconds, 4),
            "checks": [asdict(check) for check in self.checks],
        }
