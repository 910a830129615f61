"""The project's modules, taken apart into what each binds, uses and does."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from daformer_kedro.reuse import syntax
from daformer_kedro.reuse.syntax import Import

PACKAGE = __name__.partition(".")[0]


@dataclass(frozen=True)
class Statement:
    """One top-level statement of a module.

    Attributes:
        names: what it binds in the module.
        digest: of its code, without comments, docstrings and layout.
        chains: dotted names in it, such as ``("torch", "nn", "Linear")``.
        strings: string constants in it.
        imports: what is imported within it, by the name that it gets.
        loads: modules, or names in modules, that this imports.
        writes: names of variables that it assigns to or changes.
        acts: whether running it may change something besides the module's names.
        is_dynamic: whether it may use names that are not written in it.
        imports_by_name: whether it may import modules that are not written in it.
        registers: whether it may know of classes by their being derived from others.
        is_derived: whether it is a class derived from one of the project's.
    """

    names: frozenset[str]
    digest: str
    chains: frozenset[tuple[str, ...]]
    strings: frozenset[str]
    imports: Mapping[str, tuple[Import, ...]]
    loads: tuple[str, ...]
    writes: frozenset[str]
    acts: bool
    is_dynamic: bool
    imports_by_name: bool
    registers: bool
    is_derived: bool


@dataclass(frozen=True)
class Module:
    """A module's statements and imports.

    Attributes:
        name: dotted name.
        path: its file.
        statements: everything but imports and docstrings, in order.
        imports: what is imported at the top, by the name that it gets.
        stars: modules of ``from module import *``.
        loads: modules, or names in modules, that run when this one is imported.
    """

    name: str
    path: Path
    statements: tuple[Statement, ...]
    imports: Mapping[str, tuple[Import, ...]]
    stars: tuple[str, ...]
    loads: tuple[str, ...]

    @cached_property
    def _values(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        names = {name for statement in self.statements for name in statement.names}
        for number, statement in enumerate(self.statements):
            for name in statement.names | (statement.writes & names):
                found.setdefault(name, []).append(number)
        return found

    @property
    def names(self) -> list[str]:
        """Return everything that the module binds."""
        return [*self.imports, *self._values]

    @property
    def digest(self) -> str:
        """Return the digest of all its code."""
        return self.digest_of(range(len(self.statements)), self.imports)

    def digest_of(self, statements: Iterable[int], imports: Iterable[str]) -> str:
        """Digest of some statements, in their order, and of some imports, by name."""
        lines = [self.statements[number].digest for number in sorted(statements)]
        lines += [
            f"{name} {sorted(map(str, self.imports[name]))}" for name in sorted(imports)
        ]
        return digest_of("\n".join(lines))

    def knows(self, name: str) -> bool:
        """Return whether the module binds ``name``."""
        return name in self.imports or name in self._values

    def values_of(self, name: str) -> list[int]:
        """Numbers of the statements that give ``name`` its value in the module."""
        return self._values.get(name, [])


def read_module(path: Path, name: str) -> Module:
    """Take the module in a file apart; a file that did not change is read once."""
    stat = path.stat()
    return _read(path, name, stat.st_mtime_ns, stat.st_size)


def digest_of(text: str) -> str:
    """A short digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def file_of(name: str, top: str) -> Path | None:
    """The file of a project module; ``None`` for names that are no such module.

    Args:
        name: dotted name.
        top: package whose modules are the project's, besides this one.
    """
    if name.partition(".")[0] not in (top, PACKAGE):
        return None
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    root = folder_of(name.partition(".")[0])
    if root is None:
        return None
    path = root.joinpath(*name.split("."))
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    file = path.with_name(path.name + ".py")
    return file if file.is_file() else None


def folder_of(top: str) -> Path | None:
    """The folder that holds a package or module; ``None`` if that is another's.

    What is installed among others' packages is others', this package apart.
    """
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is None or (top != PACKAGE and "site-packages" in file):
        return None
    path = Path(file)
    return path.parent.parent if path.name == "__init__.py" else path.parent


@cache
def _read(path: Path, name: str, mtime: int, size: int) -> Module:
    tree = ast.parse(path.read_bytes())
    syntax.drop_docstrings(tree)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    body = [s for s in tree.body if not syntax.is_main(s)]
    running = [s for outer in body for s in syntax.run_at_import(outer)]
    importing = [s for s in body if syntax.may_import(s)]
    imports = syntax.imports(importing, package)
    tops = (name.partition(".")[0], PACKAGE)
    own = {n for s in body if not syntax.is_literal(s) for n in syntax.names(s)}
    ours = own | {
        bound
        for bound, found in imports.items()
        if any(module.partition(".")[0] in tops for module, _ in found)
    }
    nodes = [s for s in running if not isinstance(s, ast.Import | ast.ImportFrom)]
    return Module(
        name=name,
        path=path,
        statements=tuple(_statement(node, package, ours) for node in nodes),
        imports=imports,
        stars=tuple(syntax.stars(body, package)),
        loads=tuple(syntax.loads(filter(syntax.may_import, running), package)),
    )


def _statement(node: ast.stmt, package: str, ours: set[str]) -> Statement:
    inner, chains = list(ast.walk(node)), frozenset(syntax.chains(node))
    strings = (n.value for n in inner if isinstance(n, ast.Constant))
    return Statement(
        names=frozenset(syntax.names(node)),
        digest=digest_of(ast.dump(node)),
        chains=chains,
        strings=frozenset(s for s in strings if isinstance(s, str)),
        imports=syntax.imports([node], package),
        loads=tuple(syntax.loads([node], package)),
        writes=frozenset(syntax.writes(inner)),
        acts=syntax.acts(node, ours),
        is_dynamic=any(syntax.is_dynamic(n) for n in inner),
        imports_by_name=any(c[-1] in ("import_module", "__import__") for c in chains),
        registers=any(syntax.registers(n, ours) for n in inner),
        is_derived=isinstance(node, ast.ClassDef)
        and any(syntax.root(base) in ours for base in node.bases),
    )
