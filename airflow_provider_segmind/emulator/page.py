"""The emulator's own page: balance, costs, and the newest jobs with their pictures."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from itertools import islice

from airflow_provider_segmind.emulator.records import Job
from airflow_provider_segmind.emulator.state import State

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
