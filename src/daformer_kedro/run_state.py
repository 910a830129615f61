"""State of a run: its settings, validated once, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl

from daformer_kedro.augmentation.transform import Augmentation
from daformer_kedro.config.run import Config, result_overrides, run_key
from daformer_kedro.datasets.images import index_in
from daformer_kedro.errors import InputError
from daformer_kedro.learning.distributed.launch import check_launch
from daformer_kedro.model import check_earlier_blocks, check_model
from daformer_kedro.objectives import terms_in_need
from daformer_kedro.pipelines.ingestion.embedding_checks import check_embedding
from daformer_kedro.pipelines.naming import STANDALONE
from daformer_kedro.scenario.plan import TaskPlan, make_plan
from daformer_kedro.scenario.sources import FILE_SOURCES
from daformer_kedro.storage.scratch import scratch_of
from daformer_kedro.usage import run_command


@dataclass(frozen=True, eq=False)
class RunState:
    """Settings of a session, made by its context and handed to everything else.

    Attributes:
        config: all settings, validated.
        project: root of the project.
        parameters: what the settings were made from, merged; as Kedro has them.
        env: the Kedro environment; ``None`` for the default one.
        overrides: parameters given for this session, nested.
        requested: names of the pipelines that the project's session was asked to run;
            ``None`` where nothing is run, or by one of Kedro's own sessions, which do
            not say so.
    """

    config: Config
    project: Path
    parameters: Mapping[str, Any] = field(default_factory=dict)
    env: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    requested: tuple[str, ...] | None = None

    @cached_property
    def run_key(self) -> str:
        """Folder of the results, see :func:`daformer_kedro.config.run.run_key`."""
        return run_key(self.config)

    @cached_property
    def tasks(self) -> TaskPlan:
        """Source, class order and task sizes, worked out at first use.

        Raises:
            InputError: the sections contradict each other or the source of images.
        """
        return make_plan(self.config, index_in(self.project, self.config))

    @property
    def command(self) -> str:
        """Command to type for the same results."""
        return run_command(self.env, result_overrides(self.overrides))

    @property
    def is_in_project(self) -> bool:
        """Return whether this is a checkout, not the wheel with settings of its own."""
        return (self.project / "pyproject.toml").is_file()

    @property
    def journal(self) -> Path:
        """Folder of locks and of unfinished attempts."""
        return self.project / "data" / "journal"

    @property
    def scratch(self) -> Path | None:
        """Folder on this machine's own disk, ``cache.scratch``.

        Raises:
            InputError: see :func:`daformer_kedro.storage.scratch.scratch_of`.
        """
        return scratch_of(self.project, self.config.cache.scratch)

    @property
    def needs_source(self) -> bool:
        """Return whether the images must be known; not to use finished runs alone."""
        return self.requested is None or not STANDALONE.issuperset(self.requested)

    def check(self) -> None:
        """Find out before anything runs what would fail after hours.

        Where nobody has said what will run, folders of images that are not there are
        left to whoever asks for the pipelines that need them.

        Raises:
            InputError: see :attr:`tasks` and :attr:`scratch`; or the model, the devices
                or the augmentation cannot be used as they are set.
        """
        scratch_of(self.project, self.config.cache.scratch)
        if not self.needs_source:
            return
        try:
            image_size = self.tasks.source.image_size
        except InputError:
            if self.requested is None and self.config.source.name in FILE_SOURCES:
                return
            raise
        check_model(self.config.model, image_size)
        check_earlier_blocks(
            self.config.model, terms_in_need("blocks", self.config.losses)
        )
        check_embedding(self.config)
        check_launch(self.config.training)
        Augmentation(
            self.config.augmentation,
            image_size=image_size,
            preprocessing=self.config.preprocessing,
            device="cpu",
        )


class StateHooks:
    """Base of hooks that use the state of the run.

    Kedro makes hooks before there are settings; they are given the state of each
    session's context.
    """

    state: RunState

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Take the state over from the project's context."""
        self.state = context.state


_own: ContextVar[RunState | None] = ContextVar("state_of_pipelines", default=None)
"""Of this thread or request: a server answers several at once."""

_newest: RunState | None = None
"""For threads and cells of notebooks that come after the one that made a context.

The package's only variable with a run's settings: Kedro calls ``register_pipelines()``
without arguments, from any thread, with or without a session.
"""


def set_state_of_pipelines(state: RunState) -> None:
    """Have pipelines built for ``state`` from now on."""
    global _newest
    _newest = state
    _own.set(state)


def state_of_pipelines() -> RunState | None:
    """Return the state to build pipelines for; ``None`` where no session is."""
    return _own.get() or _newest
