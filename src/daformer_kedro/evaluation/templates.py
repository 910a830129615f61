"""Pages from Jinja templates that the package carries."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from daformer_kedro.evaluation.percent import percent


def render_template(package: str, name: str, *, autoescape: bool, **values: Any) -> str:
    """Fill in a template; a value that it names and does not get is an error.

    Args:
        package: dotted name of the package that holds the template.
        name: the template's file.
        autoescape: whether values are escaped for HTML.
        values: what the template names; ``percent`` is there as a filter.
    """
    environment = Environment(
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = percent
    source = files(package).joinpath(name).read_text(encoding="utf-8")
    return environment.from_string(source).render(values)
