"""MkDocs hook: pages of the reference that are made from the code, so that they cannot say anything else."""

from __future__ import annotations

import argparse
import ast
import posixpath
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_segmind.api.errors import BY_NAME, SegmindError
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.emulator import __main__ as emulator
from airflow_provider_segmind.get_provider_info import get_provider_info

ROOT = Path(__file__).resolve().parents[1]
_SETTINGS = {"timeout": "read_timeout"}
"""Settings that are called otherwise than the connection's field."""
_STANDARD = {
    "password": "The API key, required. It is sent to the hosts of this connection only, and masked in logs.",
    "host": "Where the API is; empty for `https://api.segmind.com`. Plain `http://` only for this machine itself.",
    "port": "The port, if it is not the scheme's own. Airflow 3.3.2 needs one (443) for its *Test* button.",
}
"""What the fields mean that every connection has, as far as the form shows them."""
SEE = {
    "default_deferrable": "[Waiting](../how-to/waiting.md)",
    "end_in_trigger": "[Without a second start](../how-to/waiting.md#without-a-second-start)",
    "submit_concurrency": "[Batches and rate limits](../how-to/batches.md)",
    "price_per_swap": "[Money and retries](../how-to/money.md)",
    "max_spend_per_run": "[Money and retries](../how-to/money.md#limit-what-a-run-spends)",
    "tag_orders": "[Reliability](../reliability.md#what-is-not-promised)",
    "pose_model": "[Poses](../quality.md#poses)",
    "look_at_urls": "[Keeping results](../storage.md#pictures-by-url)",
    "input_roots": "[Keeping results](../storage.md#who-may-name-which-files)",
    "gallery_roots": "[The gallery](../gallery.md)",
    "ui_tabs": "[The gallery](../gallery.md)",
    "signing_certificate": "[Signing with C2PA](../responsible-use.md#signing-with-c2pa)",
    "signing_key": "[Signing with C2PA](../responsible-use.md#signing-with-c2pa)",
    "signing_algorithm": "[Signing with C2PA](../responsible-use.md#signing-with-c2pa)",
    "signing_time_stamp_url": "[Signing with C2PA](../responsible-use.md#signing-with-c2pa)",
    "require_consent": "[Responsible use](../responsible-use.md)",
}
"""The page that says more, by option."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages."""
    from mkdocs.structure.files import File  # tests of the pages need no MkDocs

    for page, make in PAGES.items():
        files.append(File.generated(config, page, content=make()))
    return files


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
    facts = [
        f"Type: {option['type']}",
        f"Default: {_value(option['default'])}",
        *([f"Example: `{option['example']}`"] if option["example"] else []),
        f"Environment: `AIRFLOW__{section.upper()}__{name.upper()}`",
        *(
            [f"A secret: `{name}_cmd` gives a command that prints it, `{name}_secret` its name in the secrets backend"]
            if option.get("sensitive")
            else []
        ),
        f"Since: {option['version_added']}",
    ]
    return f"## `{name}`\n\n{option['description']} See {SEE[name]}.\n\n{_list(facts)}\n"


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
    facts = [
        f"In the form: *{field['label']}*",
        f"Type: {kinds}" + (f", above {schema['exclusiveMinimum']}" if "exclusiveMinimum" in schema else ""),
        *([f"One of: {', '.join(f'`{value}`' for value in schema['enum'])}"] if "enum" in schema else []),
        f"Default: {_value(getattr(settings, _SETTINGS.get(name, name)))}",
    ]
    more = next(row[-1] for row in _rows("reference/settings.md", name))
    return f"## `{name}`\n\n{field['description']}\n\n{_list(facts)}\n\n{more}\n"


def errors() -> str:
    """Return a page with every error: its meaning, and what docs/reliability.md and the README say of it."""
    parts = [
        "# Errors\n\nAll are in `airflow_provider_segmind.api.errors`, and carry `message`, `status` (HTTP), `detail` "
        "(the service's own words) and `request_id`. A task that fails for good shows `AirflowFailException` in its "
        "log, with one of these names as the first word of its message. *For good* means that it fails without using "
        "its `retries`, since a retry cannot help or would bill.\n"
    ]
    parts.extend(_error(name, cls) for name, cls in BY_NAME.items())
    return "\n".join(parts)


def _error(name: str, cls: type[SegmindError]) -> str:
    bases = " and ".join(f"`{base.__name__}`" for base in cls.__bases__)
    facts = [
        f"**{label}:** {cell}"
        for page, labels in (
            ("reliability.md", ("When", "Billed", "Task")),
            ("../README.md", ("Meaning", "What to do")),
        )
        for row in _rows(page, name)
        for label, cell in zip(labels, row[1:], strict=True)
    ]
    facts = [re.sub(r"(:\**) for good", r"\1 fails for good", fact) for fact in facts]
    return f"## `{name}`\n\n{_sentences(cls.__doc__ or '')}\n\n{_list([*facts, f'**Base class:** {bases}'])}\n"


def metrics() -> str:
    """Return a page with every metric, as the module that tells them describes it."""
    source = ROOT / "airflow_provider_segmind" / "observability" / "metrics.py"
    parts = [
        "# Metrics\n\nThey come with Airflow's own, under its prefix, where Airflow's metrics are on. Each has the tag "
        "`connection`. [Monitoring](../monitoring.md) says how to switch them on, and what is worth an alert.\n\n"
        "| Metric | What it is |\n| --- | --- |"
    ]
    parts.extend(f"| `{name}` | {meaning} |" for name, meaning in described(source, "segmind."))
    return "\n".join(parts) + "\n"


def described(source: Path, prefix: str) -> Iterator[tuple[str, str]]:
    """
    Return the constants of a module that are texts with this prefix, each with the docstring below it.

    :param source: the module's file; it is read and not imported, since that would make an Airflow home.
    :param prefix: what the texts begin with.
    """
    body = ast.parse(source.read_text()).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        value = getattr(node, "value", None) if isinstance(node, ast.Assign) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value.startswith(prefix):
            said = after.value if isinstance(after, ast.Expr) else None
            yield value.value, _sentences(str(said.value)) if isinstance(said, ast.Constant) else ""


def commands() -> str:
    """Return a page with the emulator's command line, and the targets of make."""
    shell = "python -m airflow_provider_segmind.emulator"
    parts = [
        "# Commands\n\n## The emulator\n\n"
        f"`{shell}` runs until it is ended with Ctrl-C. [The emulator](../emulator.md) says what can be done with it.\n"
        "\n| Option | Meaning |\n| --- | --- |"
    ]
    parser = emulator._parser()
    parts.extend(_actions(parser))
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                about = next(choice.help for choice in action._choices_actions if choice.dest == name)
                parts.append(f"\n`{shell} {name}`: {about}.\n\n| Argument | Meaning |\n| --- | --- |")
                parts.extend(_actions(command))
    asked = subprocess.run(
        ["make", "--no-print-directory", "-s", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    parts.append(
        "\n## make\n\nIn a checkout. `make` alone says this:\n\n```text\n" + asked.stdout.rstrip().replace("\t", " ")
    )
    return "\n".join(parts) + "\n```\n"


def _actions(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        value = "" if action.nargs == 0 or not action.option_strings else f" {_metavar(action)}"
        name = ", ".join(action.option_strings) or action.dest.upper()
        meaning = (action.help or "") % {"default": action.default, "prog": parser.prog}
        yield f"| `{name}{value}` | {meaning} |"


def _metavar(action: argparse.Action) -> str:
    if action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return str(action.metavar or action.dest.upper())


def _rows(page: str, name: str) -> Iterator[list[str]]:
    """Return the cells of a page's table rows that are about this name, ready for a page below ``reference/``."""

    def moved(link: re.Match[str]) -> str:
        target = posixpath.join(posixpath.dirname(page), link[1]) if link[1] else page
        return f"]({posixpath.relpath(target, 'reference')}{link[2] or ''})"

    for line in (ROOT / "docs" / page).read_text().splitlines():
        if line.startswith(f"| `{name}` |"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            yield [re.sub(r"\]\(([^)\s#:]*)(#[^)\s]*)?\)", moved, cell).rstrip("| ") for cell in cells]


def _sentences(docstring: str) -> str:
    """Return the prose of a docstring, without what describes parameters."""
    prose = " ".join(docstring.partition(":param")[0].split())
    return prose if prose.endswith(".") else f"{prose}."


def _list(facts: list[str]) -> str:
    return "\n".join(f"* {fact}" for fact in facts)


def _value(value: object) -> str:
    return f"`{value}`" if value not in ("", None, (), {}) else "empty"


PAGES: dict[str, Callable[[], str]] = {
    "reference/configuration.md": configuration,
    "reference/connection.md": connection,
    "reference/errors.md": errors,
    "reference/metrics.md": metrics,
    "reference/commands.md": commands,
}
"""The pages by what makes each."""
