"""The state of an unfinished training, as something that a node can hold."""

from __future__ import annotations

from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from daformer_kedro.datasets.local_file import LocalFile
from daformer_kedro.storage.state_file import StateFile


class TrainingStateDataset(LocalFile, AbstractDataset[NoReturn, StateFile]):
    """Hands out a :class:`~daformer_kedro.storage.state_file.StateFile`.

    It is not data: it always exists, and no result depends on it.

    Args:
        filepath: local path of the state; the file exists while training is
            unfinished.
        metadata: for plugins such as Kedro-Viz.

    Attributes:
        key: what the training depends on; set before each training.
        may_resume: whether an earlier state of the same key is continued.
    """

    def __init__(
        self, *, filepath: str, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self.key = ""
        self.may_resume = False

    def load(self) -> StateFile:
        """The file to load a state from and to save states to."""
        return StateFile(self.filepath, self.key, may_resume=self.may_resume)

    def save(self, data: NoReturn) -> None:
        """Refuse: the training itself writes its state."""
        raise DatasetError("the state of a training is saved by the training itself")

    def remove(self) -> None:
        """Forget the state: the training is finished and stored."""
        self.load().remove()

    def _exists(self) -> bool:
        return True
