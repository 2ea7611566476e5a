"""What the memory of swaps keeps of each order: its object, how it is named, written and read. Without any I/O."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from airflow_provider_segmind.api.answers import line
from airflow_provider_segmind.api.errors import OutcomeUnknownError
from airflow_provider_segmind.api.models import Job, Output
from airflow_provider_segmind.api.orders import OrderRecord, read_order
from airflow_provider_segmind.api.results import is_image
from airflow_provider_segmind.api.uris import without_secrets
from airflow_provider_segmind.api.workflows import is_body_swap

VERSION = 1

CLAIMED = "claimed"
"""It may be sent now, or was sent and its answer is not known."""
RELEASED = "released"
"""It was certainly not accepted, and costs nothing."""
ORDERED = "ordered"
DONE = "done"
FAILED = "failed"
LOST = "lost"
"""Segmind has forgotten the job, and nobody has seen its picture."""
REJECTED = "rejected"
"""A check or a person does not want its picture, or a later order has made a new one."""
_STATES = (CLAIMED, RELEASED, ORDERED, DONE, FAILED, LOST, REJECTED)
MAX_WORDS = 2048
"""Characters of an error or a reason."""
MAX_OUTPUTS = 2**18
"""Bytes of a job's URLs and texts as they are written; an output that does not fit in is not kept."""
SWAP_NAME = re.compile(r"swaps/[0-9a-f]{2}/[0-9a-f]{64}\.[0-9]{1,9}\.json")


class DamagedError(OutcomeUnknownError):
    """An object of the memory cannot be read, so it is not known whether its swap is paid for."""


@dataclass(frozen=True, slots=True)
class Stored:
    """
    An output of a job: where Segmind has it, and the copy that was made when the job was seen to end.

    :param url: its URL or text as Segmind gave it, whole; empty if it has a secret in it, or is too long to keep.
    :param uri: the copy's name in the memory; a URI in records of earlier versions.
    """

    keyname: str
    type: str
    url: str
    uri: str = ""
    sha256: str = ""
    size: int = 0

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture."""
        return is_image(Output(self.keyname, self.type, self.url))

    @property
    def is_at_segmind(self) -> bool:
        """Whether it has no copy and is no text, so that it is gone when Segmind deletes it."""
        return not self.uri and (self.is_picture or self.url.lower().startswith(("http://", "https://")))


@dataclass(frozen=True, slots=True)
class SwapRecord:
    """
    One order of a swap, as the memory keeps it.

    :param key: digest of what was ordered, see :func:`swap_key`.
    :param number: which order of this swap it is, from 1.
    :param order: when it was sent, and its handle.
    :param owner: the task that ordered: ``dag_id``, ``run_id``, ``task_id``, ``map_index``.
    :param token: tells this claim from any other.
    :param cost: US dollars, an estimate.
    :param ended_at: seconds since the epoch at which its end was seen.
    :param error: Segmind's words about a failure; of a claim, that its own task has failed since nobody knows its
        outcome. A person who clears that task then decides.
    :param conn_id: the connection that it was ordered with.
    :param pictures: SHA-256 of its input pictures, by which a person's pictures are found.
    :param newer: in number 1, the number of the newest picture, from which on others look.
    """

    key: str
    number: int
    order: OrderRecord
    state: str = CLAIMED
    owner: Mapping[str, Any] = field(default_factory=dict)
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    cost: float = 0.0
    outputs: tuple[Stored, ...] = ()
    ended_at: float = 0.0
    error: str = ""
    conn_id: str = ""
    pictures: tuple[str, ...] = ()
    newer: int = 0

    @property
    def name(self) -> str:
        """The name of its object."""
        return name_of(self.key, self.number)

    @property
    def whose(self) -> str:
        """The task that ordered, in words."""
        said = ", ".join(f"{name} {value}" for name, value in self.owner.items() if value != -1)
        return line(said, 500)

    @property
    def has_result(self) -> bool:
        """Whether its job made what it is for: a body swap a picture, any other something."""
        return any(one.is_picture or not is_body_swap(self.order.workflow) for one in self.outputs)

    def job(self) -> Job:
        """Return the job; of one that is done, with its stored pictures."""
        outputs = tuple(Output(one.keyname, one.type, one.uri or one.url) for one in self.outputs)
        status = {DONE: "COMPLETED", FAILED: "FAILED"}.get(self.state, "QUEUED")
        return replace(self.order.job(), status=status, outputs=outputs, error=self.error, reused=True)

    def to_bytes(self) -> bytes:
        """Return the object to store."""
        values = {name: getattr(self, name) for name in _FIELDS if name not in ("order", "outputs", "owner")}
        outputs = [{name: getattr(one, name) for name in _STORED} for one in self.outputs]
        said = {**values, "version": VERSION, "owner": dict(self.owner), "order": self.order.to_json()}
        return (json.dumps({**said, "outputs": outputs}, sort_keys=True) + "\n").encode()


_FIELDS = tuple(part.name for part in fields(SwapRecord))
_STORED = tuple(part.name for part in fields(Stored))


def picture_said(sha256: str) -> str:
    """Return what stands for a picture among the inputs of which a key is made."""
    return f"sha256:{sha256}"


def swap_key(service: str, workflow: str, inputs: Mapping[str, Any], pictures: Mapping[str, str], take: int = 1) -> str:
    """
    Return the digest of what a swap is: the same swap has the same one, whatever its files are called.

    :param service: base URL of the API, since what an emulator paints is no photograph.
    :param inputs: the inputs by name.
    :param pictures: SHA-256 of the bytes of those inputs that are pictures.
    :param take: which of several wanted pictures of the same swap.
    """
    said = {**inputs, **{name: picture_said(digest) for name, digest in pictures.items()}}
    what = {"service": service, "workflow": workflow, "inputs": said, **({"take": take} if take > 1 else {})}
    return hashlib.sha256(json.dumps(what, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


def name_of(key: str, number: int) -> str:
    """Return the name of the object of an order."""
    return f"swaps/{key[:2]}/{key}.{number}.json"


def end_name(key: str, number: int) -> str:
    """Return the name of the object that keeps how an order ended."""
    return f"ends/{key[:2]}/{key}.{number}.json"


def request_name(request_id: str) -> str:
    """Return the name of the object that leads from a request to its swap."""
    digest = hashlib.sha256(request_id.encode()).hexdigest()
    return f"requests/{digest[:2]}/{digest[:32]}.json"


def words(text: str) -> str:
    """Return an error or a reason as it is kept: short, and without what is secret in the URLs that it quotes."""
    return line(without_secrets(text[:MAX_WORDS]), MAX_WORDS)


def noted(outputs: Iterable[Output]) -> tuple[Stored, ...]:
    """Return a job's outputs as they are kept: each whole or not at all, and none with a secret in it."""
    kept, left = [], MAX_OUTPUTS
    for output in outputs:
        fits = len(output.url) <= left and (size := len(json.dumps(output.url))) <= left
        is_kept = fits and without_secrets(output.url) == output.url
        left -= size if is_kept else 0
        kept.append(Stored(output.keyname, output.type, output.url if is_kept else ""))
    return tuple(kept)


def read_swap(data: bytes, name: str, *, is_end: bool = False) -> SwapRecord:
    """
    Read the object of an order; fields that a newer version adds are ignored.

    :param is_end: whether it is the one that keeps how the order ended.
    :raises DamagedError: if it cannot be read, or is of a version whose meaning is not known.
    """
    read = name.replace("swaps/", "ends/", 1) if is_end else name
    try:
        said = json.loads(data)
        if said["version"] != VERSION:
            raise DamagedError(
                f"The memory's object {read} has version {said['version']!r}, and this package reads {VERSION}. "
                "Nothing is ordered for it. Install the package's version that wrote it."
            )
        values = {field_name: said[field_name] for field_name in _FIELDS if field_name in said}
        outputs = tuple(Stored(**{n: one[n] for n in _STORED if n in one}) for one in said["outputs"])
        pictures = tuple(map(str, said.get("pictures", ())))
        record = SwapRecord(**{**values, "order": read_order(said["order"]), "outputs": outputs, "pictures": pictures})
        if record.state not in _STATES or not all(map(_fits, [record, record.order, *outputs])) or record.name != name:
            raise ValueError("its values do not fit")
        return record
    except DamagedError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        unknown, then = (
            ("how its order ended", "Segmind is asked for the job, and if it knows that no more, the swap")
            if is_end
            else ("whether its swap is paid for", "the swap")
        )
        raise DamagedError(
            f"The memory's object {read} is damaged ({type(error).__name__}), so it is not known {unknown}, and "
            f"nothing is ordered for it. Look at it; if it is worthless, delete it: then {then} is ordered anew, at "
            "its price."
        ) from None


def _fits(one: Any) -> bool:
    """Whether each value has its type, so that later code does not fail without the object's name."""
    return all(isinstance(getattr(one, name), kind) for name, kind in _KINDS[type(one)])


_TYPES: Mapping[str, Any] = {"str": str, "int": int, "float": int | float, "bool": bool, "Mapping": Mapping}
_KINDS = {
    of: tuple((part.name, kind) for part in fields(of) if (kind := _TYPES.get(str(part.type).partition("[")[0])))
    for of in (SwapRecord, OrderRecord, Stored)
}
"""The type of each field that has one of these; once, since an object is read at each look."""
