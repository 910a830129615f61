"""The reach of code: from one name to every definition that it depends on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

from daformer_kedro.reuse.modules import (
    PACKAGE,
    Import,
    Module,
    Statement,
    file_of,
    folder_of,
    read_module,
)

LAUNCHERS = frozenset(
    f"{PACKAGE}.learning.distributed.{module}"
    for module in ("elastic", "join", "launch", "messages", "on_ray", "worker")
)
"""Modules that start and watch ranks. Their own code
does not count; what ranks compute, which is reached through them, does."""

NAMED_BY_NODES = {
    f"{PACKAGE}.learning.distributed.job": frozenset(
        {"train_task", "finetune_on_memory", "FinetuningConfig"}
    ),
    f"{PACKAGE}.model.checkpoint": frozenset({"classifier_class"}),
    f"{PACKAGE}.pipelines.task.closed_form_nodes": frozenset({"METHODS"}),
    f"{PACKAGE}.pipelines.task.method_nodes": frozenset({"METHODS"}),
}
"""Names that a module looks up for a node, which itself names those that it means:
that one phase of training goes through the same module as another is no dependence.
The method that a node is told is the fingerprint's affair."""

_OWN_FOLDER = frozenset({("__file__",), ("__name__",), ("__package__",)})


class Reach:
    """The statements, imports and data files that some names depend on."""

    def __init__(self) -> None:
        self._modules: dict[str, Module] = {}
        self._statements: dict[str, set[int]] = defaultdict(set)
        self._imports: dict[str, set[str]] = defaultdict(set)
        self._files: dict[str, str] = {}
        self._waiting: list[tuple[Module, Statement]] = []
        self._followed: set[tuple[str, Import, tuple[str, ...]]] = set()

    def follow(self, module: str, name: str) -> bool:
        """Add a name and all that it depends on; ``False`` if it is not the project's.

        Args:
            module: the module that defines it.
            name: of a function, class or variable; unknown ones stand for the module.
        """
        found = self._load(module, module)
        if found is None:
            return False
        self._need(found, name if found.knows(name) else None)
        while self._waiting:
            while self._waiting:
                self._use(*self._waiting.pop())
            self._add_derived()
        return True

    def digests(self) -> dict[str, str]:
        """A digest of what counts of each module, and of each data file."""
        counting = {
            name: self._modules[name].digest_of(
                self._statements[name], self._imports[name]
            )
            for name in sorted({*self._statements, *self._imports} - LAUNCHERS)
            if self._statements[name] or self._imports[name]
        }
        return counting | self._files

    def _load(self, name: str, asker: str) -> Module | None:
        """A project module, with what importing it does; ``None`` for other names."""
        path = file_of(name, asker.partition(".")[0])
        if path is None:
            return None
        if name not in self._modules:
            module = self._modules[name] = read_module(path, name)
            for loaded in (name.rpartition(".")[0], *module.loads):
                self._load(loaded, name)
            for number, statement in enumerate(module.statements):
                if statement.acts:
                    self._add(module, number)
        return self._modules[name]

    def _add(self, module: Module, *numbers: int) -> None:
        """Add statements, and have what they use added later."""
        for number in numbers:
            if number not in self._statements[module.name]:
                self._statements[module.name].add(number)
                self._waiting.append((module, module.statements[number]))

    def _need(self, module: Module, name: str | None, *rest: str) -> None:
        """Add what a name of a module stands for; the whole module for no name.

        Args:
            module: a project module.
            name: something that it binds.
            rest: attributes that are taken of it, in turn.
        """
        names = [name] if name is not None else module.names
        for needed in names:
            self._add(module, *module.values_of(needed))
            is_new = needed not in self._imports[module.name]
            if needed in module.imports and (is_new or rest):
                self._imports[module.name].add(needed)
                for imported in module.imports[needed]:
                    self._follow_import(module, imported, *rest)
        if name is None:
            self._add(module, *range(len(module.statements)))

    def _use(self, module: Module, statement: Statement) -> None:
        """Add all that a statement uses."""
        if statement.is_dynamic:
            self._need(module, None)
        if statement.imports_by_name:
            self._add_everything(module)
        for loaded in statement.loads:
            self._load(loaded, module.name)
        for chain in statement.chains:
            if chain[0] not in NAMED_BY_NODES.get(module.name, ()):
                self._follow_chain(module, statement, *chain)
        if not _OWN_FOLDER.isdisjoint(statement.chains):
            self._add_files(module.path.parent, module.name)
        for string in statement.strings:
            self._follow_string(module, string)

    def _follow_chain(
        self, module: Module, statement: Statement, name: str, *rest: str
    ) -> None:
        """Add what a name in a statement, and attributes taken of it, stand for."""
        imported_here = statement.imports.get(name, ())
        for imported in imported_here:
            self._follow_import(module, imported, *rest)
        if module.knows(name):
            self._need(module, name, *rest)
        elif not imported_here:
            for star in module.stars:
                self._need(module, "*")
                self._follow_import(module, (star, name), *rest)

    def _follow_import(self, asker: Module, imported: Import, *rest: str) -> None:
        """Add what is taken of a module: one name of it, a module below it, or all."""
        base, name = imported
        module = self._load(base, asker.name)
        step = (asker.name, imported, rest)
        if module is None or step in self._followed:
            return
        self._followed.add(step)
        if name is None and rest:
            name, *rest = rest  # type: ignore[assignment]
        if name is None or name == "*":
            self._need(module, None)
            return
        below = self._load(f"{base}.{name}", base)
        if below is not None:
            self._follow_import(module, (below.name, None), *rest)
        if module.knows(name) and below is None:
            self._need(module, name, *rest)
        elif below is None:
            self._need(module, None)

    def _follow_string(self, module: Module, string: str) -> None:
        """Add the module that a string names, or the data files of the package."""
        path = file_of(string, module.name.partition(".")[0]) if "." in string else None
        if path is None:
            return
        if path.name == "__init__.py":
            self._add_files(path.parent, string)
        elif (named := self._load(string, module.name)) is not None:
            self._need(named, None)

    def _add_everything(self, module: Module) -> None:
        """Add every module of a package, where any of them may be imported."""
        top = module.name.partition(".")[0]
        root = folder_of(top) or module.path.parent
        for file in sorted((root / top).rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            found = self._load(".".join(parts).removesuffix(".__init__"), module.name)
            if found is not None:
                self._need(found, None)

    def _add_files(self, folder: Path, module: str) -> None:
        root = folder_of(module.partition(".")[0]) or folder
        for file in sorted(folder.rglob("*")):
            if file.is_file() and file.suffix not in (".py", ".pyc"):
                digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
                self._files[file.relative_to(root).as_posix()] = digest

    def _add_derived(self) -> None:
        """Add all derived classes where classes are found by what they derive from."""
        added = (
            self._modules[name].statements[number]
            for name, numbers in self._statements.items()
            for number in numbers
        )
        if any(statement.registers for statement in added):
            for module in list(self._modules.values()):
                pairs = enumerate(module.statements)
                self._add(module, *(i for i, s in pairs if s.is_derived))
