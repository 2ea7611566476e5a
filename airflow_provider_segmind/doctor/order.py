"""
One order, however often the doctor is run or killed.

Its record is on the disk before it is sent, and is never removed unless the service certainly refused it. A run that
finds a record continues with it: it looks an unknown outcome up, and sends nothing again.
"""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_segmind.api import flow, history, orders, protocol
from airflow_provider_segmind.api.clocks import moment
from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    JobExpiredError,
    OutcomeUnknownError,
    RateLimitError,
    SegmindError,
)
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.patience import GONE_AFTER
from airflow_provider_segmind.api.wire import Failure, Response
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES, BODY_SWAP_WORKFLOW, PRICE, fingerprint, tag_scene
from airflow_provider_segmind.doctor.bench import Bench
from airflow_provider_segmind.doctor.reading import code, facts, may_be_accepted

SECONDS = 3600.0
"""Seconds after which a job is watched no more."""
_LOOKS = 30.0
"""Seconds between looks into the history while the job runs, and for how often it is looked at after its end."""


class Order:
    """The order of a folder; ``agree`` asks the person whether it may be sent."""

    def __init__(self, bench: Bench, agree: Callable[[str], bool]) -> None:
        self._bench, self._agree = bench, agree
        self._kept = bench.folder.order()
        self._know()

    @property
    def exists(self) -> bool:
        """Whether an earlier run has begun an order."""
        return self._kept is not None

    @property
    def is_open(self) -> bool:
        """Whether an order was begun whose end no run has seen."""
        return self.exists and not (self._kept or {}).get("done")

    @property
    def _record(self) -> orders.OrderRecord:
        kept = self._kept or {}
        with contextlib.suppress(ValueError):
            record = orders.read_record(kept.get("record"))
            if record is not None and _is_whole(record, kept):
                return record
        raise InvalidRequestError(
            f"{self._bench.folder.path / 'order.json'} cannot be read, so nothing is ordered: look at it, or give "
            "another folder with --out."
        )

    def place(self) -> None:
        """Send the order, unless there is one or the person does not agree; then find out what became of it."""
        if not self.exists:
            if why := self._why_not():
                self._bench.notes.append(f"Nothing was ordered: {why}")
                return
            if not self._send():
                return
        if self._record.pending:
            self._look_up()

    def _why_not(self) -> str:
        bench = self._bench
        if bench.client.auth.known is None:
            return "it is not known whether the key is accepted. Correct what differs, then run this again."
        if set(bench.uploads) != {"scene", "person"}:
            return "the drawn pictures could not be uploaded. Run this again later."
        if bench.balance is not None and bench.balance < PRICE:  # its number is for the person alone
            bench.say(_balance(bench.balance))
            return "the balance does not pay for it. Add credits, then run this again."
        doubtful = [one for one in bench.cassette.entries if may_be_accepted(one)]
        if any(one["step"] == "order" for one in doubtful):
            return "this folder had an order, and its order.json is gone. Look into the account, or give another --out."
        # Only HTTP 200 is billed, and some services answer 500 to what they do not know.
        if any(one["step"] == "unknown-workflow" and code(one) != "500 json" for one in doubtful):
            return f"{_DOUBTFUL} Look at the account's bill, then give another --out."
        if not self._agree(_QUESTION.format(balance=_balance(bench.balance))):
            return "it was not agreed to."
        return ""

    def _send(self) -> bool:
        """Keep the record, then send; return whether the order was, or may have been, accepted."""
        bench = self._bench
        given = {name: bench.uploads[kind] for name, kind in zip(BODY_SWAP_IMAGES, ("scene", "person"), strict=True)}
        given["select_character"] = "woman"
        # A fragment that was refused before is left out.
        before = [facts(one).get("read_as") for one in bench.cassette.entries if one["step"] == "order"]
        inputs = given if "InvalidRequestError" in before else tag_scene(given, uuid.uuid4().hex[:12])
        record = orders.OrderRecord(
            bench.clock(),
            sent=orders.digests(inputs),
            own=True,
            workflow=BODY_SWAP_WORKFLOW,
            fingerprint=fingerprint(BODY_SWAP_WORKFLOW, inputs),
        )
        try:
            self._keep(record, first=True, inputs=inputs, balance=bench.balance)
        except InvalidRequestError as error:
            self._kept = None
            bench.notes.append(f"Nothing was ordered. {error}")
            return False
        bench.client.step, bench.client.read = "order", self._read
        steps = flow.order(bench.settings, bench.client.auth, BODY_SWAP_WORKFLOW, inputs)
        try:
            job = bench.client.run(steps)
        except OutcomeUnknownError as error:
            bench.say(str(error))
            self._keep(replace(record, request_id=error.request_id or ""))
            return True
        except SegmindError as error:
            with contextlib.suppress(OSError):  # a record that stays is looked up by the next run
                bench.folder.drop_order()
            self._kept = None
            bench.say(str(error))
            bench.notes.append(
                f"The order was refused, and nothing is billed ({_name(error)}). See the request `order` below for the "
                "service's words; correct what they name, then run this again."
            )
            return False
        bench.say(f"Ordered: request {job.request_id}.")
        self._keep(record.submitted(job))
        return True

    def _read(self, answer: Response) -> str:
        job = protocol.read_submit(self._bench.settings, answer, BODY_SWAP_WORKFLOW)
        self._bench.redactor.known = {**self._bench.redactor.known, job.request_id: "<request>"}
        return job.status

    def _look_up(self) -> None:
        """Search the history for an order of unknown outcome; it is never sent again."""
        bench, record = self._bench, self._record
        bench.say("The outcome of the order is not known. It is looked up in the request history; some minutes …")
        bench.client.step, bench.client.read = "history-order", None
        try:
            found = bench.client.run(history.find(bench.settings, bench.client.auth, record, clock=bench.clock))
        except SegmindError as error:
            found, why = [], f"The request history did not help ({_name(error)})."
        else:
            why = f"The request history has {len(found) or 'no'} requests with its inputs."
            bench.say(f"{why} {', '.join(found)}")
        if len(found) == 1:
            job = Job(found[0], history.poll_url_of(bench.settings, found[0]), "QUEUED")
            self._keep(record.submitted(job))
            return
        bench.notes.append(
            f"An order may have been billed, and nobody knows: it was begun at {moment(record.at)}, and no answer "
            f"names its job. {why} It is not sent again. Look for it in your Segmind account, or run this again."
        )

    def watch(self) -> None:
        """Ask for the job closely from its first second to its end, and look when the history lists it."""
        if not self.exists or not self._record.known or (self._kept or {}).get("done"):
            return
        bench, record = self._bench, self._record
        try:
            url = protocol.check_poll_url(bench.settings, record.poll_url)
        except SegmindError as error:
            bench.say(str(error))
            bench.notes.append("The order is accepted, and cannot be watched: see `poll-host`.")
            return
        began, look_at, doubted = bench.clock(), 3.0, ""
        bench.say("The job is asked for until it ends; Ctrl-C stops that, and another run goes on.")
        while bench.clock() - began < SECONDS:
            job, pause = self._poll(url, bench.clock() - began)
            if job is not None and (job.done or (job.doubtful and doubted == job.status)):
                self._ended(job)
                return
            if math.isinf(pause):
                return
            doubted = job.status if job is not None and job.doubtful else ""
            if bench.clock() - began >= look_at:
                look_at = math.inf if self._look() else bench.clock() - began + _LOOKS
            bench.sleep(pause)
        bench.notes.append(
            "The job did not end within an hour. Run this again with --order: it continues with the same order."
        )

    def _poll(self, url: str, age: float) -> tuple[Job | None, float]:
        """Ask once; return the job and the pause before the next poll, which is infinite if there is none."""
        bench = self._bench
        pause = 1.0 if age < 15 else 2.0 if age < 60 else 7.0
        try:
            return self._ask_job("poll", url), pause
        except RateLimitError as error:
            return None, max(error.retry_after or 15.0, pause)
        except (AuthenticationError, InvalidRequestError) as error:
            bench.say(str(error))
            bench.notes.append(f"The job cannot be asked for any more ({_name(error)}).")
            return None, math.inf
        except JobExpiredError as error:
            if age < GONE_AFTER:
                return None, pause
            bench.notes.append(
                f"The job is paid for, and not known any more, or only to another account's key ({_name(error)})."
            )
            return None, math.inf
        except SegmindError:
            return None, max(pause, 5.0)

    def _ended(self, job: Job) -> None:
        bench = self._bench
        url = job.outputs[0].url if job.outputs else ""
        kept = self._kept or {}
        self._keep(self._record, ended_at=kept.get("ended_at", bench.clock()), output=url)
        now = protocol.credits_request(bench.settings, bench.client.auth.known or "bearer")
        bench.ask("balance-after", now, self._spent)
        if url.startswith(("http://", "https://")):
            bench.fetch("picture", url, scene=bench.pictures.get("scene", b""))
        else:
            bench.skipped |= dict.fromkeys(("picture", "picture-later"), "the job has no output with a URL")
        self._keep(self._record, done=True)
        for _ in range(4):
            if self._look():
                break
            bench.sleep(_LOOKS)

    def _spent(self, answer: Response) -> dict[str, Any]:
        before = (self._kept or {}).get("balance")
        now = protocol.read_credits(self._bench.settings, answer)
        return {} if before is None else {"spent": round(before - now, 4)}

    def _look(self) -> bool:
        """Look into the history once; return whether it lists the order, or does not answer."""
        bench, record = self._bench, self._record
        if bench.settings.history_url is None:
            return True
        span = (record.at, record.at)
        bench.client.own = record.request_id
        scheme = bench.client.auth.known or "bearer"
        answer = bench.ask("history-order", history.history_request(bench.settings, span, 1, scheme))
        if isinstance(answer, Failure):
            return True
        try:
            listing = history.read_history(bench.settings, answer)
        except SegmindError:
            return True
        return any(row.request_id == record.request_id for row in listing.rows)

    def later(self, minutes: float) -> None:
        """Look whether the record and the picture are still there, again and again for so many minutes."""
        kept = self._kept or {}
        if not kept.get("ended_at"):
            return
        bench, began = self._bench, self._bench.clock()
        if minutes > 0:
            bench.say("Looking whether record and picture are still there; Ctrl-C ends that, another run goes on.")
        while True:
            with contextlib.suppress(SegmindError):  # the cassette has the answer
                self._ask_job("record", self._record.poll_url)
            if kept.get("output", "").startswith(("http://", "https://")):
                bench.fetch("picture-later", kept["output"])
            left = began + 60.0 * minutes - bench.clock()
            if left <= 0:
                return
            age = bench.clock() - kept["ended_at"]
            bench.sleep(min(left, 60.0 if age < 600 else 300.0 if age < 7200 else 900.0))

    def _ask_job(self, step: str, url: str) -> Job:
        bench = self._bench
        bench.client.step = step
        bench.client.read = lambda answer: protocol.read_poll(bench.settings, answer, url).status
        return bench.client.run(flow.get_job(bench.settings, bench.client.auth, url), polls=True)

    def _keep(self, record: orders.OrderRecord, *, first: bool = False, **more: Any) -> None:
        self._kept = {**(self._kept or {}), "record": orders.write_record(record), **more}
        try:
            self._bench.folder.keep_order(self._kept, first=first)
        except OSError as error:
            # The order is paid for: this run continues with what it knows.
            self._bench.say(f"The order's record cannot be written ({error.strerror}). Request: {record.request_id}.")
            self._bench.notes += [] if _UNWRITTEN in self._bench.notes else [_UNWRITTEN]
        self._know()

    def _know(self) -> None:
        """Have the cassette show what stands for the order's own texts."""
        kept: Mapping[str, Any] = self._kept or {}
        if not kept:
            return
        record, inputs = self._record, kept.get("inputs")
        inputs = inputs if isinstance(inputs, dict) else {}
        known = {BODY_SWAP_WORKFLOW: BODY_SWAP_WORKFLOW, "woman": "woman"}
        known |= {record.request_id: "<request>"} if record.request_id else {}
        scene, person = (str(inputs.get(name, "")) for name in BODY_SWAP_IMAGES)
        known |= {scene.partition("#")[0]: "<scene without its fragment>", scene: "<scene>", person: "<person>"}
        self._bench.redactor.known = {name: instead for name, instead in known.items() if name}
        self._bench.client.own = record.request_id


def _is_whole(record: orders.OrderRecord, kept: Mapping[str, Any]) -> bool:
    """Whether what is kept of an order has the kinds that it was written with; somebody may have edited it."""
    numbers = (record.at, kept.get("ended_at", 0.0), kept.get("balance") or 0.0)
    texts = (record.request_id, record.poll_url, kept.get("output", ""))
    return all(isinstance(one, int | float) for one in numbers) and all(isinstance(one, str) for one in texts)


def _name(error: SegmindError) -> str:
    """Return what an error is, without words of the service: a report is shared."""
    return type(error).__name__ + (f", HTTP {error.status}" if error.status else "")


def _balance(dollars: float | None) -> str:
    return "The balance could not be read." if dollars is None else f"The balance is ${dollars:.2f}."


_UNWRITTEN = "The order's record could not be written. Do not order with this folder again: look into your account."
_DOUBTFUL = "an order of a workflow that does not exist may have been accepted."
_QUESTION = (
    f"This orders one body swap of two drawn pictures for about ${PRICE}. {{balance}} It cannot be cancelled, and is "
    "the only order of this folder, however often you run this. Order it?"
)
