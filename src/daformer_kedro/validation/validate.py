"""Validation of mappings as dataclasses, with every fault explained by its full key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from daformer_kedro.errors import InputError, did_you_mean

Section = TypeVar("Section")


def validated(cls: type[Section], values: Mapping[str, Any], key: str) -> Section:
    """Build the dataclass ``cls`` from plain values.

    Args:
        cls: one of the dataclasses of :mod:`daformer_kedro.config`.
        values: the section as Kedro hands it out.
        key: the section's full key, for messages; empty for the whole.

    Raises:
        InputError: unknown key, wrong type or impossible value; every fault is
            named by its full key, with the value and what is allowed.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{key} = {values!r} must be a mapping of settings")
    try:
        return TypeAdapter(cls).validate_python(dict(values))
    except ValidationError as error:
        raise InputError(_explain_all(cls, key, error)) from error


def _explain_all(cls: Any, prefix: str, error: ValidationError) -> str:
    reasons: dict[str, list[str]] = {}
    for problem in error.errors():
        subject, reason = _explain(cls, prefix, problem)
        reasons.setdefault(subject, []).append(reason)
    return "\n".join(
        f"{subject} {', or '.join(found)}" for subject, found in reasons.items()
    )


def _explain(cls: Any, prefix: str, problem: Any) -> tuple[str, str]:
    """Return subject (full key and value) and what is allowed, for one fault."""
    path = [str(part) for part in problem["loc"] if _is_key(part)]
    key = ".".join([prefix, *path] if prefix else path)
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = _known_keys(cls, path[:-1])
        hint = did_you_mean(path[-1], known)
        return key, f"is not a parameter.{hint} Allowed here: {', '.join(known)}"
    if problem["type"] == "value_error":
        return f"{key}:" if key else "parameters:", str(problem["ctx"]["error"])
    allowed = re.sub(r"^\w+ should", "must", problem["msg"])
    return f"{key} = {problem['input']!r}", allowed


def _is_key(part: Any) -> bool:
    # Pydantic's locations also hold the branches of a union, which are not keys.
    return isinstance(part, int) or (part != "int" and str(part).isidentifier())


def _known_keys(cls: Any, path: Sequence[str]) -> list[str]:
    """List the names of the settings at ``path`` below the dataclass ``cls``."""
    for name in path:
        hint = get_type_hints(cls)[name]
        found = [kind for kind in (hint, *get_args(hint)) if is_dataclass(kind)]
        cls = found[0] if found else cls
    return sorted(field.name for field in fields(cls))
