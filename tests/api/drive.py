"""Drive a flow by hand: give it answers, and see what it sends and how long it pauses."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_segmind.api.flow import Auth, Flow, Pace, Pause, Send
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.wire import Answer, Failure, Request, Response

KEY = "SG_0123456789abcdef"
PACE = Pace(first=1.0, limit=30.0, jitter=lambda: 0.5)
POLL_URL = "https://api.segmind.com/workflows/request/4f7471d8ac431cffe0468dc487b5d354"
SCENE, PERSON = "https://pictures.example.com/scene.png", "https://pictures.example.com/person.png"
INPUTS = {"character_image": SCENE, "reference_character_image": PERSON, "select_character": "woman"}
WORKFLOW = "678b67a76426baad7e539337-v4"


def settings(**changes: Any) -> Settings:
    """Return the settings of a plain connection, with changes."""
    parts: dict[str, Any] = {"host": None, "password": KEY, **changes}
    return Settings.from_connection(**parts)


def answer(body: Any = None, status: int = 200, **headers: str) -> Response:
    """Return an answer with a JSON body, or with raw bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw, at=1000.0)


ACCEPTED = answer({"message": "queued", "poll_url": POLL_URL, "request_id": POLL_URL[-32:], "status": "QUEUED"})
QUEUED = answer({"status": "QUEUED"})
PROCESSING = answer({"output": "", "status": "PROCESSING"})
COMPLETED = answer(
    {
        "status": "COMPLETED",
        "output": '[{"keyname":"body_swap_image","value":{"data":"https://images.segmind.com/x.png","type":"image"}}]',
    }
)
REFUSED = Failure(sent=False, reason="connection refused")
LOST = Failure(sent=True, reason="connection reset")


@dataclass
class Driver:
    """What a flow did."""

    answers: Iterable[Answer]
    now: float = 1000.0
    requests: list[Request] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)

    def clock(self) -> float:
        """Return the time, which moves only by pauses."""
        return self.now

    def run(self, flow: Flow[Any]) -> Any:
        """Run a flow to its end."""
        answers = iter(self.answers)
        received: Answer | None = None
        try:
            while True:
                step = flow.send(received)
                if isinstance(step, Send):
                    self.requests.append(step.request)
                    received = next(answers)
                else:
                    self.pauses.append(step)
                    self.now += step.seconds
                    received = None
        except StopIteration as end:
            return end.value

    @property
    def sent(self) -> list[str]:
        """The methods that were sent."""
        return [request.method for request in self.requests]

    @property
    def seconds(self) -> list[float]:
        """How long the flow paused each time."""
        return [pause.seconds for pause in self.pauses]


def order_answers(request_id: str) -> dict[str, Answer]:
    """Return what the service may answer to an order, by what it is; three of them hide that it was accepted."""
    url = f"https://api.segmind.com/workflows/request/{request_id}"
    return {
        "accepted": answer({"poll_url": url, "request_id": request_id, "status": "QUEUED"}),
        "accepted, lost": LOST,
        "accepted, 500": answer({"error": "Server error"}, 500),
        "accepted, cut off": answer(b'{"poll_url": "https://api.seg'),
        "lost": LOST,
        "refused": Failure(sent=False, reason="connection refused"),
        "429": answer({"error": "slow down"}, 429),
        "401": answer({"error": "no key"}, 401),
        "404": answer({"error": "Workflow not found"}, 404),
        "406": answer({"error": "Insufficient credits"}, 406),
        "500": answer({"error": "Server error"}, 500),
    }


def new_auth() -> Auth:
    """Return a memory of nothing."""
    return Auth()
