"""Check that every setting is given: a missing key must not mean something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from daformer_kedro.errors import InputError


def require_every_setting(
    section: type, values: Mapping[str, Any], *, may_be_left_out: frozenset[str]
) -> None:
    """Make sure that ``values`` sets every field of a dataclass of settings.

    The defaults of dataclasses serve notebooks and tests; in a run every value comes
    from the parameters, so that these alone decide.

    Args:
        section: the dataclass; fields that are dataclasses themselves are sections.
        values: as given, nested. What is unknown or of a wrong type is left to
            :func:`~daformer_kedro.validation.validated`.
        may_be_left_out: full keys of sections that may be left out whole, since they
            do nothing then. One that is given must set everything too.

    Raises:
        InputError: settings are left out; names all by full key.
    """
    missing = sorted(_missing(section, values, "", may_be_left_out))
    if missing:
        raise InputError(
            f"{', '.join(missing)}: not set. The parameters must set every value; "
            "conf/base/parameters*.yml holds the defaults"
        )


def _missing(
    section: type, values: Mapping[str, Any], prefix: str, optional: frozenset[str]
) -> Iterator[str]:
    hints = get_type_hints(section)
    for field in fields(section):
        key = f"{prefix}{field.name}"
        if field.name not in values:
            if key not in optional:
                yield key
        elif is_dataclass(hints[field.name]):
            value = values[field.name]
            if isinstance(value, Mapping):
                yield from _missing(hints[field.name], value, f"{key}.", optional)
