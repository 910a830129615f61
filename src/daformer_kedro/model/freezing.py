"""Weights that a phase of learning trains, and weights that it leaves as they are."""

from __future__ import annotations

from daformer_kedro.model.daformer import DAFormer


def freeze_for_training(model: DAFormer, freeze_old_tasks: bool = True) -> None:
    """Make everything trainable but what belongs to earlier tasks.

    Args:
        model: changed in place.
        freeze_old_tasks: whether earlier tasks' keys (or tokens) and heads are frozen.
    """
    model.requires_grad_(True)
    model.encoder.freeze_pretrained()
    if freeze_old_tasks:
        for parameter in model.decoder.old_task_parameters():
            parameter.requires_grad_(False)
        for head in model.heads.tasks()[:-1]:
            head.requires_grad_(False)


def freeze_for_finetuning(model: DAFormer) -> None:
    """Make the decoder and the heads trainable, of all tasks, and nothing else."""
    model.requires_grad_(False)
    model.decoder.requires_grad_(True)
    model.heads.requires_grad_(True)
