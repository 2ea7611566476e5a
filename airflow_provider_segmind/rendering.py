"""Render templates that a DAG author wrote, and never values from an XCom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context
from airflow.sdk.definitions.context import render_template_to_string
from jinja2.nativetypes import NativeEnvironment
from jinja2.sandbox import SandboxedEnvironment

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator as _Base
else:
    _Base = object


class TextRowsMixin(_Base):
    """Keeps the values of dicts texts; list it before Airflow's class."""

    # With render_template_as_native_obj the id '1e5' would be a number, and '1,2' a tuple, also without any template.

    def render_template(self, content: Any, context: Any, jinja_env: Any = None, seen_oids: Any = None) -> Any:
        """Render a template, within a dict to a text."""
        if isinstance(content, dict) and isinstance(jinja_env, NativeEnvironment):
            dag = self.get_dag()
            jinja_env = _text_environment(dag) if dag is not None else SandboxedEnvironment(cache_size=0)
        return super().render_template(content, context, jinja_env, seen_oids)

    def _render(self, template: Any, context: Any, dag: Any = None) -> Any:
        if isinstance(template.environment, NativeEnvironment):
            return super()._render(template, context, dag)
        return render_template_to_string(template, context)


@lru_cache(maxsize=1)
def _text_environment(dag: Any) -> Any:
    return dag.get_template_env(force_sandboxed=True)


class AuthorsTemplatesMixin(_Base):
    """Prevents the rendering of values from ``expand_kwargs(task.output)``; list it before Airflow's class."""

    # Airflow treats XCom values as data elsewhere, but here, at least up to 3.3.2, as templates: a row with
    # ``{{ conn.segmind_default.password }}`` would be replaced by the key.

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: Any,
        seen_oids: set[int],
    ) -> None:
        if parent is self:
            seen_oids = seen_oids | {id(value) for value in _mapped_data(self, template_fields, context)}
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)


def _mapped_data(task: Any, fields: Iterable[str], context: Context) -> Iterator[Any]:
    """Return the task's values that come from ``expand_kwargs``, unless the DAG author wrote them."""
    dag = task.get_dag()
    mapped: Any = dag.task_dict.get(task.task_id) if dag is not None else None
    expanded: Any = getattr(mapped, "op_kwargs_expand_input", getattr(mapped, "expand_input", None))
    if getattr(expanded, "EXPAND_INPUT_TYPE", None) != "list-of-dicts":
        return
    rows, ti = expanded.value, context["ti"]
    if isinstance(rows, Sequence) and isinstance(rows[int(ti.map_index or 0)], Mapping):
        return
    authors = {**mapped.partial_kwargs.get("default_args", {}), **mapped.partial_kwargs}
    for name in fields:
        value, written = getattr(task, name), authors.get(name)
        if name == "op_kwargs":
            own = written or {}
            yield from (each for key, each in value.items() if key not in own or own[key] is not each)
        elif name not in authors or written is not value:
            yield value
