"""Questions about the syntax of a module: what statements bind, use and do."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

Import = tuple[str, str | None]
"""A module, and the name that is taken from it; ``None`` for the module itself."""

_PURE_DECORATORS = frozenset(
    {"cache", "contextmanager", "dataclass", "final", "inference_mode", "lru_cache"}
    | {"no_grad", "overload", "runtime_checkable", "total_ordering", "wraps"}
)
"""Decorators that change what they decorate and nothing else."""

_MUTATORS = frozenset(
    {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem"}
    | {"register", "remove", "setdefault", "update"}
)
"""Methods that change the object they belong to."""

_NAMESPACES = frozenset({"globals", "locals", "vars", "dir"})
_EVALUATORS = frozenset({"eval", "exec"})
_COMPOUND = (ast.If, ast.Try, ast.TryStar, ast.With, ast.For, ast.While, ast.Match)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def drop_docstrings(tree: ast.Module) -> None:
    """Remove docstrings, in place."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *_FUNCTIONS)):
            # Also strings below an assignment, which document an attribute.
            node.body = [child for child in node.body if not _is_string(child)]


def _is_string(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def is_main(node: ast.stmt) -> bool:
    """Return whether it is ``if __name__ == "__main__":``, which imports do not run."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "__name__ == '__main__'",
        "'__main__' == __name__",
    )


def run_at_import(node: ast.stmt) -> list[ast.stmt]:
    """Statements of a top-level statement that importing runs.

    Of ``if TYPE_CHECKING:`` these are the ``else`` branch alone.
    """
    is_for_typing = isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    )
    return node.orelse if is_for_typing else [node]  # type: ignore[attr-defined]


def is_literal(node: ast.stmt) -> bool:
    """Return whether it gives a name a constant, whose methods are Python's own."""
    return isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(
        node.value, ast.Constant | ast.JoinedStr
    )


def may_import(node: ast.stmt) -> bool:
    """Return whether a top-level statement may bind imported names in the module."""
    return isinstance(node, (ast.Import, ast.ImportFrom, *_COMPOUND))


def names(node: ast.stmt) -> Iterator[str]:
    """Names that a statement binds, imports apart."""
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        yield node.name
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from names(child)  # type: ignore[arg-type]
        elif not isinstance(child, ast.Lambda):
            for inner in ast.walk(child):
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                    yield inner.id


def imports(nodes: list[ast.stmt], package: str) -> dict[str, tuple[Import, ...]]:
    """Imports at any depth: by local name, the modules that it may come from."""
    found: dict[str, tuple[Import, ...]] = {}

    def note(name: str, imported: Import) -> None:
        found[name] = (*found.get(name, ()), imported)

    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                note(alias.asname or top, (alias.name if alias.asname else top, None))
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                note(alias.asname or alias.name, (_base(node, package), alias.name))
    return found


def stars(nodes: list[ast.stmt], package: str) -> Iterator[str]:
    """Modules of which everything is imported."""
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            yield _base(node, package)


def loads(nodes: Iterable[ast.stmt], package: str) -> Iterator[str]:
    """Modules that are imported; names in modules, which may be modules, too."""
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def _base(node: ast.ImportFrom, package: str) -> str:
    if node.level == 0:
        return node.module or ""
    parts = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


def chains(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Dotted names, each as long as it is written."""
    chain = _chain(node)
    if chain is not None:
        yield chain
        return
    if isinstance(node, ast.Call) and (_chain(node.func) or ("",))[-1] == "getLogger":
        yield from chains(node.func)  # a logger's name is no way to a file
        return
    for child in ast.iter_child_nodes(node):
        yield from chains(child)


def _chain(node: ast.AST) -> tuple[str, ...] | None:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        before = _chain(node.value)
        return None if before is None else (*before, node.attr)
    return None


def root(node: ast.AST) -> str | None:
    """The name that an expression such as ``name.attribute[0](…)`` begins with."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Starred):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def writes(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Variables that are declared global, assigned to in part, or changed in place."""
    for node in nodes:
        if isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.Attribute | ast.Subscript):
            if isinstance(node.ctx, ast.Store | ast.Del):
                yield root(node) or ""
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _MUTATORS
        ):
            yield root(node.func) or ""


def is_dynamic(node: ast.AST) -> bool:
    """Return whether it looks up names of its module or runs code made later."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    takes_own = node.func.id in _NAMESPACES and not node.args
    return takes_own or node.func.id in _EVALUATORS


def registers(node: ast.AST, ours: set[str]) -> bool:
    """Return whether it is how classes come to be known by what they derive from."""
    if isinstance(node, ast.ClassDef):
        return any(root(k.value) in ours for k in node.keywords)  # a metaclass
    if isinstance(node, ast.Attribute):
        return node.attr == "__subclasses__"
    return isinstance(node, ast.FunctionDef) and node.name == "__init_subclass__"


def acts(node: ast.stmt, ours: set[str]) -> bool:
    """Return whether running a statement may do more than bind its names.

    Values built by other packages' functions are taken to be values and no more;
    functions of the project (``ours``) may do anything.
    """
    if isinstance(node, ast.ClassDef):
        return (
            _is_changed_by(node.decorator_list)
            or any(root(keyword.value) in ours for keyword in node.keywords)
            or any(_acts_in_class(child, ours) for child in node.body)
        )
    if isinstance(node, _FUNCTIONS):
        return _is_changed_by(node.decorator_list)
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return _assigns_elsewhere(node) or _calls(node, ours)
    return not isinstance(node, ast.Pass)


def _acts_in_class(node: ast.stmt, ours: set[str]) -> bool:
    if isinstance(node, _FUNCTIONS):
        return any(root(decorator) in ours for decorator in node.decorator_list)
    return acts(node, ours)


def _is_changed_by(decorators: list[ast.expr]) -> bool:
    for decorator in decorators:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if (_chain(called) or ("",))[-1] not in _PURE_DECORATORS:
            return True
    return False


def _assigns_elsewhere(node: ast.Assign | ast.AnnAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(
        isinstance(inner, ast.Attribute | ast.Subscript)
        for target in targets
        for inner in ast.walk(target)
    )


def _calls(node: ast.AST, ours: set[str]) -> bool:
    """Return whether evaluating an expression calls something of the project."""
    if isinstance(node, ast.Lambda):
        return False
    if isinstance(node, ast.Call) and root(node) in ours:
        return True
    return any(_calls(child, ours) for child in ast.iter_child_nodes(node))
