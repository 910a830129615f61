"""Differences between two results of a node, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

_NOTHING = object()
_MOST = 4


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Describe each difference between two fingerprints of a node, parameters first.

    Args:
        old: fingerprint of an earlier result.
        new: fingerprint of the one wanted now.

    Returns:
        Phrases such as ``training.learning_rate changed 5e-4 → 1e-3``.
    """
    return [
        *_changed_parameters(old.get("parameters", {}), new.get("parameters", {})),
        *_changed_code(old.get("code", {}), new.get("code", {})),
        *_changed_inputs(old.get("inputs", {}), new.get("inputs", {})),
        *_changed_rest(old, new),
    ]


def in_one_line(phrases: list[str]) -> str:
    """Join the first few phrases, and say how many more there are."""
    more = len(phrases) - _MOST
    return "; ".join(phrases[:_MOST] + ([f"and {more} more"] if more > 0 else []))


def _changed_parameters(old: Any, new: Any) -> Iterator[str]:
    before, after = dict(leaves(old)), dict(leaves(new))
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key, _NOTHING), after.get(key, _NOTHING)
        if one != other:
            yield f"{key} changed {_show(one)} → {_show(other)}"


def _changed_code(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    changed = sorted(
        name for name in old.keys() | new.keys() if old.get(name) != new.get(name)
    )
    if changed:
        yield f"code changed: {', '.join(changed[:3])}" + (
            f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        )


def _changed_inputs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name, value in new.items():
        if old.get(name, {}).get("content") != value["content"]:
            yield f"input {value['dataset']} changed"
    for name in old.keys() - new.keys():
        yield f"input {old[name]['dataset']} is no longer read"


def _changed_rest(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old.get("source_files") != new.get("source_files"):
        yield "the files at source.path changed"
    if old.get("function") != new.get("function"):
        yield f"function changed {old.get('function')} → {new.get('function')}"
    if old.get("stored_as") != new.get("stored_as"):
        yield "the outputs' entries in the catalog changed"


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over the values of nested mappings, by dotted name."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from leaves(below, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def _show(value: Any) -> str:
    if value is _NOTHING:
        return "(not set)"
    if isinstance(value, float) and 0 < abs(value) < 0.01:
        sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
        first, rest = digits[0], "".join(map(str, digits[1:]))
        power = int(exponent) + len(digits) - 1
        mantissa = f"{first}.{rest}" if rest else str(first)
        return f"{'-' if sign else ''}{mantissa}e{power}"
    return "null" if value is None else str(value)
