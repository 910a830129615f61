"""Settings of what is done with results; no result depends on them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from daformer_kedro.validation import STRICT, Device, PositiveInt

Reference = Annotated[str, Field(min_length=1)] | None


@dataclass(frozen=True, config=STRICT)
class ComparisonConfig:
    """Choice of the finished runs to compare; no training reads this.

    Attributes:
        filter: MLflow search filter, such as ``tags.protocol = 'digits'``; empty for
            all runs of the experiment.
        run_keys: of the runs that the filter finds, only those with these keys;
            ``None`` for all. ``make benchmark`` sets it to its grid.
        experiment: the MLflow experiment.
    """

    filter: str = ""
    run_keys: tuple[str, ...] | None = None
    experiment: Annotated[str, Field(min_length=1)] = "daformer"


@dataclass(frozen=True, config=STRICT)
class MlflowConfig:
    """Use of the final model in MLflow; no training reads this.

    Attributes:
        register_model_as: name in MLflow's model registry, ``None`` to log the model
            and not register it.
    """

    register_model_as: Annotated[str, Field(min_length=1)] | None = None


@dataclass(frozen=True, config=STRICT)
class InferenceConfig:
    """Input of the inference pipeline; no training reads this.

    Attributes:
        images: a file, a folder or a CSV of paths.
        model: a run key, the id of a run in MLflow, ``models:/NAME/VERSION``, the
            folder of a model downloaded from MLflow, or ``None`` for the newest
            finished run.
        output: folder of the table.
        batch_size: images at a time, at most.
        device: ``auto`` takes a GPU where there is one.
    """

    images: Annotated[str, Field(min_length=1)] | None = None
    model: Reference = None
    output: Annotated[str, Field(min_length=1)] = "data/07_model_output/inference"
    batch_size: PositiveInt = 64
    device: Device = "auto"


@dataclass(frozen=True, config=STRICT)
class ExportConfig:
    """Choice of the model to export; no training reads this.

    Attributes:
        model: as in :class:`InferenceConfig`.
    """

    model: Reference = None


@dataclass(frozen=True, config=STRICT)
class CacheConfig:
    """Reuse of stored results; no result depends on it.

    Attributes:
        strict: with ``--only-missing-outputs``, also compute again what was made on
            another kind of device or with another version of torch.
        resume: continue an interrupted ``kedro run`` when the same command is given
            again; false starts from scratch.
        store: where copies of all results lie that other machines read and write, as
            ``s3://bucket/prefix`` or another URL of fsspec; ``None`` for none.
        scratch: folder on this machine's own disk for states of unfinished trainings
            and copies of what is memory-mapped, where ``data`` is a network share; a
            relative path starts at the project; ``None`` for ``data`` itself.
    """

    strict: bool = False
    resume: bool = True
    store: Annotated[str, Field(pattern="://")] | None = None
    scratch: Annotated[str, Field(min_length=1)] | None = None
