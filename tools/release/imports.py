"""
Import what an installed provider names to Airflow, and print what came of it as JSON.

It runs as a program inside the environment in which the provider is installed, so it imports nothing of the checkout.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

TEXT, MODULE, OBJECT, OPTIONS = "text", "module", "object", "options"

_MODULES = {"integration-name": TEXT, "python-modules": MODULE}
_ASSETS = {"schemes": TEXT, "handler": OBJECT, "factory": OBJECT, "to_openlineage_converter": OBJECT}
KEYS: Mapping[str, str | Mapping[str, str]] = {
    **dict.fromkeys(("package-name", "name", "description", "versions"), TEXT),
    "integrations": dict.fromkeys(("integration-name", "external-doc-url", "logo", "tags", "how-to-guide"), TEXT),
    **dict.fromkeys(("operators", "sensors", "hooks", "triggers", "bundles"), _MODULES),
    "transfers": {
        **dict.fromkeys(("source-integration-name", "target-integration-name", "how-to-guide"), TEXT),
        "python-module": MODULE,
    },
    "connection-types": {
        **dict.fromkeys(("connection-type", "hook-name", "ui-field-behaviour", "conn-fields"), TEXT),
        "hook-class-name": OBJECT,
    },
    "task-decorators": {"name": TEXT, "class-name": OBJECT},
    "plugins": {"name": TEXT, "plugin-class": OBJECT},
    "queues": {"name": TEXT, "message-queue-class": OBJECT},
    "dialects": {"dialect-type": TEXT, "dialect-class-name": OBJECT},
    "remote-logging": {"scheme": TEXT, "classpath": OBJECT},
    **dict.fromkeys(("asset-uris", "dataset-uris"), _ASSETS),
    **dict.fromkeys(("filesystems", "auth-backends"), MODULE),
    **dict.fromkeys(("extra-links", "notifications", "secrets-backends", "email-backends", "logging"), OBJECT),
    **dict.fromkeys(("hook-class-names", "auth-managers", "executors", "db-managers", "cli"), OBJECT),
    "config": OPTIONS,
}
"""What each key of Airflow's schema holds: nothing to import, modules, classes and functions, or options."""


OPTIONAL = ("numpy", "openlineage")
"""What modules of the provider import that a plain installation does not bring."""


NEWER = {"airflow_provider_segmind.example_dags.body_swap_pipeline": ("apache-airflow-providers-standard", (1, 13))}
"""What an example says that it needs, which an old Airflow does not bring; it is not imported there."""


class UnknownKeyError(Exception):
    """A key that is not in :data:`KEYS`; passing it by would leave something untried."""


def names(info: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """
    Walk through what a provider says about itself.

    :param info: what ``get_provider_info()`` returns.
    :returns: where it is said, what it is, and the name or (for options) the section.
    :raises UnknownKeyError: it has a key that nobody knows how to try.
    """
    for key, value in info.items():
        yield from _named(key, KEYS.get(key), value)


def _named(place: str, what: str | Mapping[str, str] | None, value: Any) -> Iterator[tuple[str, str, Any]]:
    if what is None:
        raise UnknownKeyError(place)
    if isinstance(value, list):
        for part in value:
            yield from _named(place, what, part)
    elif not isinstance(what, str):
        for key, part in value.items():
            yield from _named(f"{place}.{key}", what.get(key), part)
    elif what != TEXT and value is not None:
        yield place, what, value


def load(what: str, name: str) -> Any:
    """
    Import a module, or something in one.

    :param what: :data:`MODULE` or :data:`OBJECT`.
    :param name: its dotted name.
    :returns: the module or object.
    :raises Exception: whatever stops it.
    """
    if what == MODULE:
        return importlib.import_module(name)
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def try_all(info: Mapping[str, Any], option: Callable[[str, str], str | None]) -> list[str]:
    """
    Import everything that a provider names, and read each of its options.

    :param info: what ``get_provider_info()`` returns.
    :param option: reads an option from Airflow's configuration: section, name.
    :returns: a sentence for each that failed.
    """
    problems: list[str] = []
    try:
        for place, what, value in names(info):
            if what == OPTIONS:
                problems += _wrong_defaults(value, option)
                continue
            try:
                load(what, value)
            except (Exception, SystemExit) as problem:  # noqa: BLE001 - a module can raise whatever it likes
                problems.append(f"{place} names {value}: {type(problem).__name__}: {problem}")
    except UnknownKeyError as unknown:
        problems.append(f"{unknown} is a key that KEYS in tools/release/imports.py does not know, so it was not tried")
    return problems


def _wrong_defaults(sections: Any, option: Callable[[str, str], str | None]) -> Iterator[str]:
    for section, about in sections.items():
        for name, described in about["options"].items():
            said, default = option(section, name), described["default"]
            if said != default:
                yield f"config names [{section}] {name} with default {default!r}; Airflow says {said!r}"


def main(distribution: str, package: str) -> dict[str, Any]:
    """
    Try what an installed distribution announces.

    :param distribution: its name.
    :param package: the package in it, all of whose modules must come from this environment.
    :returns: ``file``, where the package is; ``problems``, what failed; ``outside``, what came from elsewhere.
    """
    from airflow.configuration import conf
    from airflow.providers_manager import ProvidersManager

    ProvidersManager().initialize_providers_configuration()
    problems: list[str] = []
    for entry in importlib.metadata.distribution(distribution).entry_points:
        try:
            found = entry.load()
        except (Exception, SystemExit) as problem:  # noqa: BLE001 - as above
            problems.append(f"entry point {entry.group} names {entry.value}: {type(problem).__name__}: {problem}")
            continue
        if entry.group == "apache_airflow_provider":
            problems += try_all(found(), conf.get)
    problems += filter(None, map(_not_imported, _modules(package)))
    own = {name: getattr(module, "__file__", None) for name, module in sys.modules.items() if _within(name, package)}
    outside = [f"{name}: {file}" for name, file in own.items() if file and not _is_installed(file)]
    return {"file": own.get(package), "problems": problems, "outside": outside}


def _modules(package: str) -> list[str]:
    (folder,) = map(Path, importlib.import_module(package).__path__)
    parts = (path.relative_to(folder.parent).with_suffix("").parts for path in folder.rglob("*.py"))
    found = sorted(".".join(names).removesuffix(".__init__") for names in parts if names[-1] != "__main__")
    return [name for name in found if name not in NEWER or _has(*NEWER[name])]


def _has(distribution: str, wanted: tuple[int, int]) -> bool:
    major, minor = importlib.metadata.version(distribution).split(".")[:2]
    return (int(major), int(minor)) >= wanted


def _not_imported(name: str) -> str | None:
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as problem:  # noqa: BLE001 - as above
        optional = isinstance(problem, ModuleNotFoundError) and problem.name in OPTIONAL
        return None if optional else f"{name}: {type(problem).__name__}: {problem}"
    return None


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _is_installed(file: str) -> bool:
    return Path(file).resolve().is_relative_to(Path(sys.prefix).resolve())


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # where modules print while they are imported
        outcome = main(*sys.argv[1:])
    print(json.dumps(outcome))
