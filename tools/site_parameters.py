"""Griffe extension: a class's parameters are also those that it hands on to its parents, with their own defaults."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import griffe


class InheritedParameters(griffe.Extension):
    """
    Completes the signatures of classes whose constructor takes ``**kwargs``.

    Without it the reference would call such a parameter required, and name no type. A default that is the name of a
    constant becomes its value.
    """

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **kwargs: Any) -> None:
        """Complete all classes of a package once it is loaded."""
        constructors = {cls.path: _constructor(cls) for cls in _classes(pkg)}
        complete = {cls.path: list(_complete(cls, constructors)) for cls in _classes(pkg)}
        for path, parameters in complete.items():
            constructor = constructors[path]
            if constructor is not None:
                constructor.parameters = griffe.Parameters(*parameters)
        for function in filter(None, constructors.values()):
            for parameter in function.parameters:
                parameter.default = _value(parameter.default, loader)


def _classes(module: griffe.Module) -> Iterator[griffe.Class]:
    yield from (cls for cls in module.classes.values() if isinstance(cls, griffe.Class))
    for inner in module.modules.values():
        if isinstance(inner, griffe.Module):
            yield from _classes(inner)


def _constructor(cls: griffe.Class) -> griffe.Function | None:
    found = cls.members.get("__init__")
    return found if isinstance(found, griffe.Function) else None


def _complete(cls: griffe.Class, constructors: dict[str, griffe.Function | None]) -> Iterator[griffe.Parameter]:
    own = constructors[cls.path]
    if own is None:
        return
    known = {parameter.name for parameter in own.parameters}
    hands_on = [parameter for parameter in own.parameters if parameter.kind is griffe.ParameterKind.var_keyword]
    yield from (parameter for parameter in own.parameters if parameter not in hands_on)
    for parent in cls.mro() if hands_on else ():
        constructor = constructors.get(parent.path)
        for parameter in constructor.parameters if constructor else ():
            if parameter.kind is griffe.ParameterKind.keyword_only and parameter.name not in known:
                known.add(parameter.name)
                yield griffe.Parameter(
                    parameter.name, annotation=parameter.annotation, kind=parameter.kind, default=parameter.default
                )
    yield from hands_on


def _value(default: str | griffe.Expr | None, loader: griffe.GriffeLoader) -> str | griffe.Expr | None:
    """Return a default, or the value of the constant that it names."""
    if not isinstance(default, griffe.ExprName | griffe.ExprAttribute):
        return default
    try:
        named = loader.modules_collection.get_member(default.canonical_path)
        text = str(named.value)
        ast.literal_eval(text)
    except (KeyError, AttributeError, ValueError, SyntaxError, griffe.GriffeError):
        return default
    return text
