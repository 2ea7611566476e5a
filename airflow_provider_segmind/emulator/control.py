"""The control plane under ``/_emulator/``: the Python API for other processes."""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_segmind.emulator import answers
from airflow_provider_segmind.emulator.answers import Answer
from airflow_provider_segmind.emulator.faults import Fault
from airflow_provider_segmind.emulator.journal import Journal
from airflow_provider_segmind.emulator.state import Job, State

if TYPE_CHECKING:
    from airflow_provider_segmind.emulator.server import Emulator

_PREFIX = "/_emulator/"


class Control:
    """Answers ``/`` and everything under ``/_emulator/``."""

    def __init__(self, state: State, journal: Journal, server: Emulator) -> None:
        self._state = state
        self._journal = journal
        self._server = server
        self._reads: dict[str, Callable[[], Any]] = {
            "state": self._overview,
            "charges": lambda: [dataclasses.asdict(charge) for charge in state.charges],
            "jobs": lambda: [dataclasses.asdict(view) for view in state.views()],
            "requests": self._requests,
        }
        self._writes: dict[str, Callable[[Any], Any]] = {
            "faults": self._script,
            "clear-faults": lambda _: state.faults.clear(),
            "outage": lambda data: server.outage(float(data["seconds"])),
            "set": lambda data: server.set(**data),
            "reset": lambda _: server.reset(),
        }

    async def answer(self, request: web.BaseRequest) -> Answer:
        """Answer one request."""
        answer = await self._answer(request)
        # A user may have put a real key into an input or a URL by mistake.
        return dataclasses.replace(answer, body=self._journal.without_keys(answer.body, self._state.settings.api_key))

    async def _answer(self, request: web.BaseRequest) -> Answer:
        if request.path == "/":
            return Answer(200, render(self._state).encode(), "text/html", HEADERS)
        name = request.path.removeprefix(_PREFIX)
        if request.method == "GET" and name in self._reads:
            return answers.as_json(self._reads[name]())
        if request.method == "POST" and name in self._writes:
            body = await request.read()
            # A page of another origin can send any text or none, but not with this content type.
            if request.content_type != "application/json":
                return answers.error(415, "Send the header Content-Type: application/json.")
            return self._write(name, body)
        known = [f"GET {name}" for name in self._reads] + [f"POST {name}" for name in self._writes]
        return answers.error(404, f"under {_PREFIX} there are: {', '.join(known)}")

    def _write(self, name: str, body: bytes) -> Answer:
        try:
            self._writes[name](json.loads(body or b"{}"))
        except (ValueError, TypeError, KeyError) as problem:
            return answers.error(400, str(problem))
        return answers.as_json(self._overview())

    def _script(self, data: Any) -> None:
        # All faults or none: a half-scripted scenario would mislead.
        faults = [Fault.from_mapping(one) for one in (data if isinstance(data, list) else [data])]
        self._state.faults.add(*faults)

    def _overview(self) -> dict[str, Any]:
        settings = dataclasses.asdict(self._state.settings)
        del settings["api_key"]
        return {
            "settings": settings,
            "spent": round(sum(charge.amount for charge in self._state.charges), 6),
            "charges": len(self._state.charges),
            "jobs": len(self._state.jobs),
            "requests": len(self._journal),
            "faults": [dataclasses.asdict(fault) for fault in self._state.faults.pending()],
            "connections": self._server.connections,
            "open_connections": self._server.open_connections,
        }

    def _requests(self) -> list[dict[str, Any]]:
        return [
            {**dataclasses.asdict(record), "body": record.body.decode("utf-8", "replace")}
            for record in self._journal.all()
        ]


_SHOWN = 24
HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
    ),
)
"""The page runs no script, and no other page can embed it."""
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #22303c }
h1 { font-size: 1.4rem } .figures { display: flex; gap: 2rem; margin: 1rem 0 }
.figures b { display: block; font-size: 1.5rem } .jobs { display: grid; gap: 1rem;
grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)) } article { border: 1px solid #d8dee4;
border-radius: 10px; overflow: hidden } article p { margin: .5rem .8rem } img { width: 100%; aspect-ratio: 3/4;
object-fit: cover; background: #eef1f4; display: block } code { font-size: .75rem } .status { font-weight: 600 }
"""


def render(state: State) -> str:
    """Return the page."""
    spent = sum(charge.amount for charge in state.charges)
    balance = state.settings.credits + state.settings.free_credits
    jobs = "".join(_card(state, job) for job in islice(reversed(state.jobs.values()), _SHOWN))
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Segmind emulator</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>
<h1>Segmind emulator</h1>
<p>No real Segmind, no real money. Everything here is local; reload the page to see what is new.</p>
<div class="figures"><span><b>${balance:,.2f}</b>credits left</span><span><b>${spent:,.2f}</b>billed</span>
<span><b>{len(state.jobs):,}</b>jobs</span></div>
<section class="jobs">{jobs or "<p>No job yet.</p>"}</section></body></html>"""


def _card(state: State, job: Job) -> str:
    status = job.status(state.clock())
    is_done = status == "COMPLETED"
    picture = f'<img loading="lazy" alt="result" src="/outputs/{job.picture}">' if is_done else ""
    created = datetime.fromtimestamp(job.created, UTC)
    return (
        f'<article>{picture}<p><span class="status">{status}</span> · ${job.cost:.4f} · {job.polls} polls<br>'
        f"{created:%H:%M:%S} UTC · {html.escape(job.workflow)}<br><code>{job.request_id}</code></p></article>"
    )
