"""A tiny Segmind: it takes orders, charges for them, forgets jobs after an hour, and often does not answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow_provider_segmind.api.client import Client
from airflow_provider_segmind.api.errors import JobExpiredError, TransportError
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.wire import Answer, Failure, Request, Response
from airflow_provider_segmind.files.download import Downloaded
from tests.simulation.hub import Hub

SETTINGS = Settings(
    "https://api.segmind.com", "SG_simulated", auth_scheme="bearer", history_url="https://api.spotprod.segmind.com"
)
FORGETS = 3600.0
"""Seconds after an order at which its record is gone."""
PICTURE = b"a picture of "
RESET = Failure(sent=True, reason="ConnectionResetError at api.segmind.com")
UNREACHED = Failure(sent=False, reason="ConnectionRefusedError at api.segmind.com")


@dataclass
class Charge:
    """
    One accepted order, which is paid for.

    :param key: the swap that its inputs name.
    :param by: the attempt that sent it.
    :param ends: seconds since the epoch at which its job ends.
    :param shows: when the request history begins to list it.
    :param gone: whether its picture was deleted, or is not wanted any more.
    """

    request_id: str
    key: str
    by: Any
    inputs: dict[str, Any]
    at: float
    ends: float
    fails: bool
    shows: float
    gone: bool = False
    stored: bool = False

    def stands(self, now: float) -> bool:
        """Whether another order for the same swap would be paid for in vain."""
        if self.gone or (self.fails and now >= self.ends):
            return False
        return self.stored or now < self.at + FORGETS


@dataclass(frozen=True)
class Manner:
    """
    How a Segmind behaves.

    :param lost: how likely an order is accepted and its answer lost.
    :param refused: how likely an order is refused, in any way.
    :param faulty: how likely any other request fails.
    :param fails: how likely a job FAILED.
    :param history: ``all``, ``ended`` (it lists ended jobs only) or ``none``.
    """

    lost: float = 0.0
    refused: float = 0.0
    faulty: float = 0.0
    fails: float = 0.0
    history: str = "all"


@dataclass
class Service:
    """
    Segmind.

    :param charged: called with each charge when it is made.
    """

    hub: Hub
    manner: Manner
    charged: Callable[[Charge], None]
    who: Callable[[], Any]
    charges: list[Charge] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    amnesias: list[tuple[float, float]] = field(default_factory=list)
    """When one of its servers, during a deployment, does not know jobs that others know."""

    def send(self, request: Request) -> Answer:
        """Answer a request, or lose it or the answer."""
        hub, url = self.hub, request.url
        kind = "order" if request.method == "POST" else "history" if "request-history" in url else "poll"
        if kind == "history":
            self.who().asked = True
        hub.step(f"{kind} {url[-12:]}")
        if self._is(self.outages):
            return hub.rng.choice((UNREACHED, RESET)) if kind != "order" else UNREACHED
        answer = self._order(request) if kind == "order" else self._read(kind, url)
        hub.step(f"{kind} answered")
        return answer

    def download(self, _hook: Any, url: str, _limits: Any = None) -> Downloaded:
        """Return the picture of a job."""
        self.hub.step(f"download {url[-12:]}")
        if self._is(self.outages) or self._happens(self.manner.faulty):
            raise TransportError("The picture cannot be read now; a retry reads it again.")
        charge = self._find(url.rpartition("/")[2].removesuffix(".png"))
        if charge is None:
            raise JobExpiredError("The picture is gone; look for a copy.")
        data = PICTURE + charge.key.encode()
        return Downloaded(data, "image/png", "0" * 64)

    def _order(self, request: Request) -> Answer:
        hub, manner, rng = self.hub, self.manner, self.hub.rng
        if self._happens(manner.refused):
            answers = (_page(429), RESET, UNREACHED, _said(406, "Insufficient credits"), _page(500), _said(401, "key"))
            return rng.choice(answers)
        inputs = dict(request.payload or {})
        charge = Charge(
            request_id=f"r{len(self.charges)}-{rng.getrandbits(32):08x}",
            key=str(inputs["character_image"]).rpartition("#")[2].partition("/")[0],
            by=self.who(),
            inputs=inputs,
            at=hub.now,
            ends=hub.now + rng.choice((5.0, 40.0, 90.0, 200.0)),
            fails=rng.random() < manner.fails and not hub.healed,
            shows=hub.now + rng.choice((0.0, 3.0, 20.0)),
        )
        self.charges.append(charge)
        hub.trace.append(f"charged {charge.request_id} {charge.key}")
        self.charged(charge)
        if self._happens(manner.lost):
            only_id = json.dumps({"request_id": charge.request_id}).encode()
            return rng.choice((RESET, RESET, _page(502), Response(200, {}, only_id, hub.now)))
        poll_url = f"{SETTINGS.base_url}/workflows/request/{charge.request_id}"
        said = {"request_id": charge.request_id, "poll_url": poll_url, "status": "QUEUED"}
        return Response(200, {}, json.dumps(said).encode(), hub.now)

    def _read(self, kind: str, url: str) -> Answer:
        if self._happens(self.manner.faulty):
            return self.hub.rng.choice((RESET, UNREACHED, _page(503), _page(429)))
        if kind == "history":
            return self._history()
        charge, now = self._find(url.rpartition("/")[2]), self.hub.now
        if charge is None or (self._is(self.amnesias) and self.hub.rng.random() < 0.7):
            return _said(404, "Request not found")
        if now < charge.ends:
            said: dict[str, Any] = {"status": "PROCESSING", "output": ""}
        elif charge.fails:
            said = {"status": "FAILED", "error": "no person found"}
        else:
            value = {"data": f"https://images.segmind.com/{charge.request_id}.png", "type": "image"}
            said = {"status": "COMPLETED", "output": json.dumps([{"keyname": "body_swap_image", "value": value}])}
        return Response(200, {}, json.dumps(said).encode(), now)

    def _history(self) -> Response:
        now, rows = self.hub.now, []
        if self.manner.history == "none":
            return _said(404, "no such page")
        for charge in reversed(self.charges):
            ended = now >= charge.ends
            if now >= charge.shows and (ended or self.manner.history == "all"):
                row: dict[str, Any] = {
                    "request_id": charge.request_id,
                    "request_body": charge.inputs,
                    "created_at": _iso(charge.at),
                }
                row["model_completed"] = _iso(charge.ends) if ended else None
                rows.append(row)
        return Response(200, {}, json.dumps({"data": rows}).encode(), now)

    def _find(self, request_id: str) -> Charge | None:
        found = next((one for one in self.charges if one.request_id == request_id), None)
        return found if found is not None and self.hub.now < found.at + FORGETS else None

    def _happens(self, likely: float) -> bool:
        return bool(likely) and not self.hub.healed and self.hub.rng.random() < likely

    def _is(self, spans: list[tuple[float, float]]) -> bool:
        return not self.hub.healed and any(start <= self.hub.now < end for start, end in spans)


class SimulatedClient(Client):
    """The package's own client, without a socket."""

    def __init__(self, service: Service) -> None:
        super().__init__(SETTINGS, None, clock=service.hub.clock, sleep=service.hub.sleep)  # type: ignore[arg-type]
        self._service = service

    def send(self, request: Request) -> Answer:
        """Send a request."""
        return self._service.send(request)


def _said(status: int, words: str) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps({"error": words}).encode())


def _page(status: int) -> Response:
    return Response(status, {"content-type": "text/html"}, b"<html>no</html>")


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
