"""The connection form for Airflow 3.1, which asks the hook for it; later versions read the provider info."""

from __future__ import annotations

from typing import Any

from airflow_provider_segmind.get_provider_info import get_provider_info


def ui_field_behaviour() -> dict[str, Any]:
    """Return how the form shows the standard fields, under the names that a hook's method uses."""
    behaviour = _connection_type()["ui-field-behaviour"]
    return {name.replace("-", "_"): value for name, value in behaviour.items()}


def widgets() -> dict[str, Any]:
    """Return the form's own fields as widgets."""
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import StringField

    return {
        name: StringField(lazy_gettext(spec["label"]), description=spec["description"], widget=BS3TextFieldWidget())
        for name, spec in _connection_type()["conn-fields"].items()
    }


def _connection_type() -> dict[str, Any]:
    found: dict[str, Any] = get_provider_info()["connection-types"][0]
    return found
