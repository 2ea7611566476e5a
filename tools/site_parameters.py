"""Griffe extension: a class's parameters are also those that it hands on to its parents, with their own defaults."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import griffe


class InheritedParameters(griffe.Extension):
    """
    Completes the signatures of classes whose constructor takes ``**kwargs``, and shows constants as their values.

    Without it the reference would call such a parameter required, and name no type.
    """

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **kwargs: Any) -> None:
        """Complete all classes of a package once it is loaded."""
        inits = {cls: init for cls in _classes(pkg) if isinstance(init := cls.members.get("__init__"), griffe.Function)}
        own = {cls.path: list(init.parameters) for cls, init in inits.items()}
        for cls, init in inits.items():
            init.parameters = griffe.Parameters(
                *_complete(own[cls.path], [own.get(above.path, []) for above in cls.mro()])
            )
            for parameter in init.parameters:
                parameter.default = _value(parameter.default, loader)


def _classes(module: griffe.Module) -> Iterator[griffe.Class]:
    yield from (cls for cls in module.classes.values() if isinstance(cls, griffe.Class))
    for inner in module.modules.values():
        if isinstance(inner, griffe.Module):
            yield from _classes(inner)


def _complete(own: list[griffe.Parameter], above: list[list[griffe.Parameter]]) -> Iterator[griffe.Parameter]:
    """Return a constructor's parameters, and where it takes ``**kwargs``, before that, the keywords of its parents."""
    hands_on = [parameter for parameter in own if parameter.kind is griffe.ParameterKind.var_keyword]
    known = {parameter.name: parameter for parameter in own if parameter not in hands_on}
    for parameter in (parameter for parameters in above for parameter in parameters if hands_on):
        if parameter.kind is griffe.ParameterKind.keyword_only and parameter.name not in known:
            known[parameter.name] = griffe.Parameter(
                parameter.name, annotation=parameter.annotation, kind=parameter.kind, default=parameter.default
            )
    yield from (*known.values(), *hands_on)


def _value(default: str | griffe.Expr | None, loader: griffe.GriffeLoader) -> str | griffe.Expr | None:
    """Return a default, or the value of the constant that it names."""
    if not isinstance(default, griffe.ExprName | griffe.ExprAttribute):
        return default
    try:
        text = str(loader.modules_collection.get_member(default.canonical_path).value)
        ast.literal_eval(text)
    except (KeyError, AttributeError, ValueError, SyntaxError, griffe.GriffeError):
        return default
    return text
