"""Check that every setting is given: a missing key must not mean something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from daformer_kedro.errors import InputError


def require_every_setting(
    section: type, values: Mapping[str, Any], *, optional: str = ""
) -> None:
    """Make sure that ``values`` sets every field of a dataclass of settings.

    The defaults of dataclasses serve notebooks and tests; in a run every value comes
    from the parameters, so that these alone decide.

    Args:
        section: the dataclass; fields that are dataclasses themselves are sections.
        values: as given, nested. What is unknown or of a wrong type is left to
            :func:`~daformer_kedro.validation.validated`.
        optional: key of a section whose own sections may be left out whole, and are
            then as they say themselves.

    Raises:
        InputError: settings are left out; names all by full key.
    """
    missing = sorted(_missing(section, values, "", optional))
    if missing:
        raise InputError(
            f"{', '.join(missing)}: not set. The parameters must set every value; "
            "conf/base/parameters*.yml holds the defaults"
        )


def _missing(
    section: type, values: Mapping[str, Any], prefix: str, optional: str
) -> Iterator[str]:
    hints = get_type_hints(section)
    for field in fields(section):
        key = f"{prefix}{field.name}"
        if field.name not in values:
            if prefix != f"{optional}.":
                yield key
        elif is_dataclass(hints[field.name]):
            value = values[field.name]
            if isinstance(value, Mapping) and prefix != f"{optional}.":
                yield from _missing(hints[field.name], value, f"{key}.", optional)
