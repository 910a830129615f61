"""Fingerprints of code: what is computed, whatever its comments and layout."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

PACKAGE = "daformer_kedro"


def code_of(*things: Callable[..., Any] | type) -> dict[str, str]:
    """Digests of the modules that functions or classes come from and depend on.

    These are their own modules and the project's modules that they import,
    transitively, with the data files of packages that they name. Comments, docstrings
    and formatting do not count. Other packages' code does not count: a change of theirs
    is a change of the environment.

    Returns:
        A digest for each module or file, by name.
    """
    found: dict[str, str] = {}
    for thing in things:
        thing = _unwrapped(thing)
        modules = _closure(thing.__module__)
        found |= modules or {_name(thing): _digest(_source(thing))}
    return found


def code_fingerprint(package: str = PACKAGE) -> str:
    """A digest of a whole package: the same where nothing but comments changed."""
    root = _root(package)
    if root is None:
        return "unknown"
    digests = []
    for path in sorted((root / package).rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        facts = path.stat()
        digest, _, _ = _read(path, name, facts.st_mtime_ns, facts.st_size)
        digests.append(f"{name} {digest}")
    return _digest("\n".join(digests))


def function_name(function: Callable[..., Any]) -> str:
    """Module and name, and the arguments that ``partial`` has bound."""
    name = _name(_unwrapped(function))
    if isinstance(function, partial):
        name += f" {function.args} {sorted(function.keywords.items())}"
    return name


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


def _closure(module: str) -> dict[str, str]:
    """Every project module that ``module`` needs, itself included, with its digest."""
    top = module.partition(".")[0]
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file_of(name, top)
        if name in found or path is None:
            continue
        facts = path.stat()
        digest, imported, named = _read(path, name, facts.st_mtime_ns, facts.st_size)
        found[name] = digest
        waiting += imported
        for package in named:
            found |= _data_files(package, top)
    return found


@cache
def _read(
    path: Path, name: str, mtime: int, size: int
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Digest of a module, what it may import, and packages that it names in strings."""
    tree = ast.parse(path.read_bytes())
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imported: list[str] = []
    named: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            imported += [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named.append(node.value)
    _drop_docstrings(tree)
    return _digest(ast.dump(tree)), tuple(imported), tuple(named)


def _base(node: ast.ImportFrom, package: str) -> str:
    if node.level == 0:
        return node.module or ""
    parts = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


def _drop_docstrings(tree: ast.Module) -> None:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, holders):
            # Also strings below an assignment, which document an attribute.
            node.body = [child for child in node.body if not _is_string(child)]


def _is_string(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _data_files(package: str, top: str) -> dict[str, str]:
    """Digests of the files beside the code of a package that a string names."""
    path = _file_of(package, top) if package.isascii() and "." in package else None
    if path is None or path.name != "__init__.py":
        return {}
    files = (f for f in path.parent.rglob("*") if f.is_file())
    return {
        f.relative_to(_root(top) or f).as_posix(): _digest_of_file(f)
        for f in sorted(files)
        if f.suffix not in (".py", ".pyc")
    }


def _digest_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _file_of(name: str, top: str) -> Path | None:
    """The file of a project module; ``None`` for names that are no such module."""
    if name.partition(".")[0] not in (top, PACKAGE):
        return None
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    root = _root(name.partition(".")[0])
    if root is None:
        return None
    path = root.joinpath(*name.split("."))
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    file = path.with_name(path.name + ".py")
    return file if file.is_file() else None


def _root(top: str) -> Path | None:
    """Return the folder that holds a package or module.

    ``None`` where it is installed among other projects' packages.
    """
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is None or (top != PACKAGE and "site-packages" in file):
        return None
    path = Path(file)
    return path.parent.parent if path.name == "__init__.py" else path.parent


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
