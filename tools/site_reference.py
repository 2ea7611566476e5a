"""Pages that are made from the code and its data, so that they cannot say anything else."""

from __future__ import annotations

import json
import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import griffe

from airflow_provider_segmind.api.errors import BY_NAME, SegmindError
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.doctor.report import Belief, beliefs
from airflow_provider_segmind.emulator import faults
from airflow_provider_segmind.get_provider_info import get_provider_info

ROOT = Path(__file__).resolve().parents[1]
_SETTINGS = {"timeout": "read_timeout"}
"""Settings that are called otherwise than the connection's field."""
_STANDARD = {
    "password": "The API key, required. It is sent to the hosts of this connection only, and masked in logs.",
    "host": "Where the API is; empty for `https://api.segmind.com`. Plain `http://` only for an emulator, on this "
    "machine or on the `emulator_host`.",
    "port": "The port, if it is not the scheme's own. Airflow 3.3.2 needs one (443) for its *Test* button.",
}
"""What the fields mean that every connection has, as far as the form shows them."""

_SIGNING = "[Signing with C2PA](../responsible-use.md#signing-with-c2pa)"
_GALLERY = "[The gallery](../gallery.md#configuration)"
_DAY = "[Limit what a day costs](../how-to/money.md#limit-what-a-day-costs)"
_RUN = "[Limit what a run spends](../how-to/money.md#limit-what-a-run-spends)"
_MORE = {
    "requests_per_minute": "[The rate limit](../how-to/batches.md#the-rate-limit)",
    "emulator_host": "[In another container](../emulator.md#in-another-container)",
    "default_deferrable": "[Waiting](../how-to/waiting.md)",
    "end_in_trigger": "[Without a second start](../how-to/waiting.md#without-a-second-start)",
    "submit_concurrency": "[Batches](../how-to/batches.md)",
    "price_per_swap": _RUN,
    "max_spend_per_run": _RUN,
    "max_spend_per_day": _DAY,
    "max_spend_per_day_and_dag": _DAY,
    "memory": "[The memory of swaps](../memory.md)",
    "tag_orders": "[What is not promised](../reliability.md#what-is-not-promised)",
    "require_consent": "[Consent](../responsible-use.md#consent)",
    "pose_model": "[Poses](../quality.md#poses)",
    "look_at_urls": "[Pictures by URL](../storage.md#pictures-by-url)",
    "input_roots": "[Who may name which files](../storage.md#who-may-name-which-files)",
    "gallery_roots": _GALLERY,
    "ui_tabs": _GALLERY,
    "signing_certificate": _SIGNING,
    "signing_key": _SIGNING,
    "signing_algorithm": _SIGNING,
    "signing_time_stamp_url": _SIGNING,
}
"""Where a page says how to use an option or field."""


def configuration() -> str:
    """Return a page with every option of Airflow's configuration that is this package's."""
    parts = ["# Configuration\n"]
    for section, about in get_provider_info()["config"].items():
        parts.append(
            f"{about['description']} They are in the section `[{section}]` of `airflow.cfg`; the environment variable "
            f"of an option, which comes first, is named below it. Set them alike on every component.\n"
        )
        parts.extend(_option(section, name, option) for name, option in about["options"].items())
    return "\n".join(parts)


def _option(section: str, name: str, option: Mapping[str, Any]) -> str:
    secret = f"`{name}_cmd` gives a command that prints it, `{name}_secret` its name in the secrets backend"
    facts = {
        "Type": option["type"],
        "Default": _value(option["default"]),
        "Example": f"`{option['example']}`" if option["example"] else "",
        "Environment": f"`AIRFLOW__{section.upper()}__{name.upper()}`",
        "A secret": secret if option.get("sensitive") else "",
        "Since": option["version_added"],
    }
    return _section(name, option["description"], facts)


def connection() -> str:
    """Return a page with every field of the connection form."""
    parts = ["# Connection fields\n"]
    for kind in get_provider_info()["connection-types"]:
        shown = kind["ui-field-behaviour"]
        labels = ", ".join(f"`{name}` is *{label}*" for name, label in shown["relabeling"].items())
        hidden = ", ".join(f"`{name}`" for name in shown["hidden-fields"])
        parts.append(
            f"The connection's type is `{kind['connection-type']}`. In the form {labels}; {hidden} are hidden. Only "
            "`password` is required. The fields below are saved in the connection's `extra`, as JSON, under these "
            "names. Other names in `extra` are ignored, with a warning.\n"
        )
        parts.extend(f"## `{name}`\n\n{meaning}\n" for name, meaning in _STANDARD.items())
        parts.extend(_field(name, field) for name, field in kind["conn-fields"].items())
    return "\n".join(parts)


def _field(name: str, field: Mapping[str, Any]) -> str:
    settings = Settings.from_connection(host=None, password="unused")  # noqa: S106
    schema = field["schema"]
    kinds = ", ".join(kind for kind in schema["type"] if kind != "null")
    facts = {
        "In the form": f"*{field['label']}*",
        "Type": kinds + (f", above {schema['exclusiveMinimum']}" if "exclusiveMinimum" in schema else ""),
        "One of": ", ".join(f"`{value}`" for value in schema.get("enum", ())),
        "Default": _value(getattr(settings, _SETTINGS.get(name, name))),
    }
    return _section(name, field["description"], facts)


def errors() -> str:
    """Return a page with every error: what its class and the README say of it."""
    parts = [
        "# Errors\n\nAll are in `airflow_provider_segmind.api.errors`, and carry `message`, `status` (HTTP), `detail` "
        "(the service's own words) and `request_id`. A task that fails for good shows `AirflowFailException` in its "
        "log, with one of these names as the first word of its message. *For good* means that it fails without using "
        "its `retries`, since a retry cannot help or would bill.\n"
    ]
    parts.extend(_error(name, cls) for name, cls in BY_NAME.items())
    return "\n".join(parts)


def _error(name: str, cls: type[SegmindError]) -> str:
    facts = [
        f"* **{label}:** {cell}"
        for row in _rows(name)
        for label, cell in zip(("In short", "What to do"), row[1:], strict=True)
    ]
    facts.append(f"* **Base class:** {' and '.join(f'`{base.__name__}`' for base in cls.__bases__)}")
    listed = "\n".join(facts)
    return f"## `{name}`\n\n{_sentences(cls.__doc__ or '')}\n\n{listed}\n"


def metrics() -> str:
    """Return a page with every metric, as the module that counts them describes it."""
    parts = [
        "# Metrics and run facets\n\n## Metrics\n\nThey come with Airflow's own, under its prefix, where Airflow's "
        "metrics are on. Each has the tag `connection`. [Monitoring](../monitoring.md) says how to switch them on, and "
        "what is worth an alert.\n\n"
        "| Metric | What it is |\n| --- | --- |"
    ]
    source = ROOT / "airflow_provider_segmind" / "observability" / "metrics.py"
    # Read and not imported, since that would make an Airflow home.
    constants = griffe.visit("metrics", filepath=source, code=source.read_text()).attributes.values()
    named = {str(constant.value).strip("\"'"): constant.docstring for constant in constants}
    parts.extend(
        f"| `{name}` | {_sentences(docstring.value)} |"
        for name, docstring in named.items()
        if name.startswith("segmind.") and docstring
    )
    return "\n".join([*parts, *_facets(source.with_name("facets.json"))]) + "\n"


def _facets(schema: Path) -> Iterator[str]:
    """Return a table of the fields of each run facet."""
    read = json.loads(schema.read_text())
    for name, reference in read["properties"].items():
        facet = reference["$ref"].rpartition("/")[2]
        yield f"\n## `{name}`\n\nOpenLineage's run facet `{facet}`. An unknown field is left out.\n"
        yield "| Field | What it is |\n| --- | --- |"
        fields = read["$defs"][facet]["allOf"][1]["properties"]
        yield from (f"| `{field}` | {about['description']} |" for field, about in fields.items())


def commands() -> str:
    """Return a page with the command lines, and the targets of make, in their own words."""
    emulator = ("-m", "airflow_provider_segmind.emulator")
    doctor = ("-m", "airflow_provider_segmind.doctor")
    return (
        "# Commands\n\n## The emulator\n\n"
        f"`python {' '.join(emulator)}` runs until it is ended with Ctrl-C. "
        "[The emulator](../emulator.md) says what can be done with it.\n\n"
        f"{_said(sys.executable, *emulator, '--help')}\n{_said(sys.executable, *emulator, 'samples', '--help')}\n"
        f"### Faults\n\n{_faults()}\n"
        f"## The doctor\n\n[What it does](../doctor.md)\n\n{_said(sys.executable, *doctor, '--help')}\n"
        f"## make\n\nIn a checkout. `make` alone says this:\n\n{_said('make', '--no-print-directory', '-s', 'help')}"
    )


def _faults() -> str:
    """Return a table of the kinds of faults that the emulator knows."""
    shown = {"no": "no", "yes": "**yes**", "with 200": "with status 200"}
    rows = ["| Kind | What happens | A submit is billed |\n|---|---|---|"]
    for kinds, words in faults.EXPLAINED.items():
        names = kinds.split(", ")
        first = faults.KINDS[names[0]]
        billed = "" if first.only == "poll" else shown[first.billed]
        rows.append(f"| {', '.join(f'`{name}`' for name in names)} | {words.replace('``', '`')} | {billed} |")
    return "\n".join(rows) + "\n"


def service() -> str:
    """Return a page with what this package believes of the service."""
    parts = [_SERVICE]
    for topic, group in groupby(beliefs(), key=lambda belief: belief.topic):
        parts.append(f"\n## {topic}\n\n| What | How sure | Source |\n|---|---|---|\n")
        parts += [_belief(one) for one in group]
    return "".join(parts)


def _belief(one: Belief) -> str:
    seen = "".join(f" Seen: {', '.join(each)}." for each in one.seen)
    return f"| `{one.name}`: {one.says} | {one.sure} | {one.source}{seen} |\n"


_SERVICE = """\
# What we believe of the service

<!-- Made of doctor/expectations.toml: edit that file. -->

This package was built without a key, and reads the service tolerantly where the evidence is thin.
[The doctor](doctor.md) finds out what is true, with a live key and at most one order, and says what follows.

**documented**: Segmind's pages or its SDK say so. **reported**: independent clients do. **inferred**: from something
near. **assumed**: nobody says. A row that the doctor has confirmed ends with "Seen" and the day.
"""


def _said(*command: str) -> str:
    """Return what a program prints, as a block of text."""
    env = {**os.environ, "COLUMNS": "110"}
    asked = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return "```text\n" + asked.stdout.rstrip().replace("\t", " ") + "\n```\n"


def _rows(name: str) -> Iterator[list[str]]:
    """Return the cells of the README's table rows that are about this name, ready for a page below ``reference/``."""

    def moved(link: re.Match[str]) -> str:
        target = posixpath.join("..", link[1] or "README.md")
        return f"]({posixpath.relpath(target, 'reference')}{link[2] or ''})"

    for line in (ROOT / "README.md").read_text().splitlines():
        if line.startswith(f"| `{name}` |"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            yield [re.sub(r"\]\(([^)\s#:]*)(#[^)\s]*)?\)", moved, cell).rstrip("| ") for cell in cells]


def _sentences(docstring: str) -> str:
    """Return the prose of a docstring, without what describes parameters."""
    prose = " ".join(docstring.partition(":param")[0].split())
    return prose if prose.endswith(".") else f"{prose}."


def _section(name: str, description: str, facts: Mapping[str, str]) -> str:
    """Return what is said of an option or field, with the page that says how to use it."""
    about = {**facts, "More": _MORE.get(name, "")}
    listed = "\n".join(f"* {label}: {fact}" for label, fact in about.items() if fact)
    return f"## `{name}`\n\n{description}\n\n{listed}\n"


def _value(value: object) -> str:
    return f"`{value}`" if value not in ("", None, (), {}) else "empty"


PAGES: dict[str, Callable[[], str]] = {
    "reference/configuration.md": configuration,
    "reference/connection.md": connection,
    "reference/errors.md": errors,
    "reference/metrics.md": metrics,
    "reference/commands.md": commands,
    "service.md": service,
}
"""The pages by what makes each."""
SOURCES = {
    "airflow_provider_segmind/doctor/expectations.toml": "service.md",
    "airflow_provider_segmind/api/errors.py": "reference/errors.md",
    "airflow_provider_segmind/emulator/faults.py#explained": "reference/commands.md#faults",
    "airflow_provider_segmind/hooks/segmind.py": "reference/hook.md",
    "airflow_provider_segmind/observability/facets.json": "reference/metrics.md",
    "airflow_provider_segmind/observability/metrics.py": "reference/metrics.md",
    "airflow_provider_segmind/get_provider_info.py": "reference/configuration.md",
    "airflow_provider_segmind/get_provider_info.py#connection-types": "reference/connection.md",
}
"""Files that are data, by the page that shows them: a link to such a file leads to its page on the site."""
