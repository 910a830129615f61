"""Fingerprints of code: what is computed, whatever its comments and layout.

A function depends on the definitions that it uses, wherever they are and through any
number of packages that pass their names on; on what importing their modules does, such
as registering a class; and on data files of packages that they name. Where the code
does not show what it uses, the whole module counts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from daformer_kedro.reuse.modules import (
    PACKAGE,
    digest_of,
    folder_of,
    read_module,
)
from daformer_kedro.reuse.reach import Reach


def code_of(*things: Callable[..., Any] | type) -> dict[str, str]:
    """Digests of the code that functions or classes consist of and depend on.

    Comments, docstrings and formatting do not count. Other packages' code does not
    count: a change of theirs is a change of the environment.

    Returns:
        A digest for each module, of what is used of it, and for each data file, by
        name.
    """
    found: dict[str, str] = {}
    reach = Reach()
    for thing in (part for whole in things for part in _parts(whole)):
        name = thing.__qualname__.partition(".")[0]
        if not reach.follow(thing.__module__, name):
            found[_name(thing)] = digest_of(_source(thing))
    return found | reach.digests()


def code_fingerprint(package: str = PACKAGE) -> str:
    """A digest of a whole package: the same where nothing but comments changed."""
    root = folder_of(package)
    if root is None:
        return "unknown"
    digests = []
    for path in sorted((root / package).rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        digests.append(f"{name} {read_module(path, name).digest}")
    return digest_of("\n".join(digests))


def function_name(function: Callable[..., Any]) -> str:
    """Module and name, and the arguments that ``partial`` has bound."""
    name = _name(_unwrapped(function))
    if isinstance(function, partial):
        shown = [_shown(argument) for argument in function.args]
        named = sorted((n, _shown(value)) for n, value in function.keywords.items())
        name += f" ({', '.join(shown)}) {named}"
    return name


def _shown(argument: Any) -> str:
    return _name(argument) if hasattr(argument, "__qualname__") else repr(argument)


def _parts(thing: Any) -> Iterator[Any]:
    """A function or class, and those that ``partial`` has bound to it."""
    while isinstance(thing, partial):
        for bound in (*thing.args, *thing.keywords.values()):
            if hasattr(bound, "__qualname__"):
                yield from _parts(bound)
        thing = thing.func
    yield _unwrapped(thing)


def _unwrapped(thing: Any) -> Any:
    while isinstance(thing, partial):
        thing = thing.func
    return inspect.unwrap(thing)


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _source(thing: Any) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return str(getattr(thing, "__code__", thing))
