"""Process group of one training: exchange between ranks, behind two small objects.

Every rank draws all chance of the whole batch from the same generator state, runs the
model on its shard of the images, and gathers the outputs of all ranks. So each rank
computes the loss of the *whole* batch, with mixup's partners and neighbours in the
batch where they are with one process, and the gradient of the whole loss by the weights
is the sum of the gradients of the ranks' shards.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from daformer_kedro.model import DAFormerOutput
from daformer_kedro.storage.state_file import StateFile


class RanksDisagreeError(RuntimeError):
    """Two ranks hold different weights, which one training must not have."""


class Shard:
    """Part of a batch that one rank computes: with one process, the whole batch.

    Attributes:
        part: number of the shard and how many equal shards the batch has.
    """

    part = (0, 1)

    def of(self, batch: Tensor) -> Tensor:
        """Return this rank's rows of a batch."""
        return batch

    def gather(self, output: DAFormerOutput) -> DAFormerOutput:
        """Gather the outputs for the whole batch, in its order."""
        return output

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the gradients over all ranks, in place."""


class ProcessGroup:
    """One process alone; see :class:`DistributedGroup` for several.

    Attributes:
        count: number of processes.
    """

    count = 1

    def shard(self, num_images: int) -> Shard:
        """Return this process's shard of a batch of so many images."""
        return _WHOLE

    def load(self, state_file: StateFile | None) -> dict[str, Any] | None:
        """Return the state to resume from, for all ranks; ``None`` to start afresh."""
        return None if state_file is None else state_file.load()

    def broadcast(self, value: Any) -> Any:
        """Return the leader's value on every rank: plain values and CPU tensors."""
        return value

    def check_agreement(self, model: nn.Module) -> None:
        """Make sure that all ranks hold the same weights.

        Raises:
            RanksDisagreeError: they do not.
        """


_WHOLE = Shard()
SINGLE_PROCESS = ProcessGroup()


class DistributedGroup(ProcessGroup):
    """This process as one of those of ``torch.distributed``'s process group.

    Tensors on a GPU go through NCCL, others through gloo.

    Args:
        leader: the rank that reads and writes files.
    """

    def __init__(self, leader: int = 0) -> None:
        self.leader = leader
        self.number = dist.get_rank()
        self.count = dist.get_world_size()

    @property
    def is_leader(self) -> bool:
        """Return whether this rank reads and writes files."""
        return self.number == self.leader

    def shard(self, num_images: int) -> Shard:
        """Return an equal shard; every rank computes a batch that cannot be divided.

        Only the one batch of a phase with fewer images than a batch can be such a
        batch, since the batch size itself is a multiple of the ranks.
        """
        if num_images % self.count:
            return _WHOLE
        return _EqualShard(self.number, self.count)

    def load(self, state_file: StateFile | None) -> dict[str, Any] | None:
        """Return the state that the leader finds, broadcast to all."""
        return self.broadcast(super().load(state_file) if self.is_leader else None)

    def broadcast(self, value: Any) -> Any:
        """Return the leader's value on every rank: plain values and CPU tensors."""
        buffer = io.BytesIO()
        if self.is_leader:
            torch.save(value, buffer)
        body = self.broadcast_bytes(buffer.getvalue())
        return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)

    def broadcast_bytes(self, value: bytes) -> bytes:
        """Return the leader's bytes on every rank; the others' argument is ignored."""
        size = torch.tensor(len(value))
        dist.broadcast(size, self.leader)
        content = torch.empty(int(size), dtype=torch.uint8)
        if self.is_leader:
            content.copy_(torch.frombuffer(bytearray(value), dtype=torch.uint8))
        dist.broadcast(content, self.leader)
        return content.numpy().tobytes()

    def all_true(self, value: bool) -> bool:
        """Return whether the value is true on every rank."""
        lowest = torch.tensor(int(value))
        dist.all_reduce(lowest, dist.ReduceOp.MIN)
        return bool(lowest)

    def check_agreement(self, model: nn.Module) -> None:
        """Compare sums of the weights, which are equal to the bit if all is well."""
        with torch.no_grad():
            sums = [parameter.double().sum() for parameter in model.parameters()]
            total = torch.stack(sums).sum()
            # NaN, which no maximum keeps reliably, is reported by the loss.
            highest = torch.stack((total, -total)).nan_to_num()
        dist.all_reduce(highest, dist.ReduceOp.MAX)
        if bool(highest.sum() != 0):
            raise RanksDisagreeError(
                "the ranks' weights differ: on every machine the devices must be of "
                "one kind, and the versions of torch the same"
            )


class _EqualShard(Shard):
    """One of several equal parts of a batch, in the order of the ranks."""

    def __init__(self, number: int, count: int) -> None:
        self.part = (number, count)

    def of(self, batch: Tensor) -> Tensor:
        number, count = self.part
        return batch.chunk(count)[number]

    def gather(self, output: DAFormerOutput) -> DAFormerOutput:
        # One message for all parts, an image's numbers in one row: (B, X).
        divergence, blocks = output.divergence_logits, output.blocks or ()
        parts = [output.logits, output.embeddings.transpose(0, 1)]
        parts += [] if divergence is None else [divergence]
        parts += blocks
        rows = torch.cat([part.flatten(1) for part in parts], dim=1)
        whole = _Gather.apply(rows, self.part).split([p[0].numel() for p in parts], 1)
        found = [
            piece.reshape(-1, *part.shape[1:])
            for piece, part in zip(whole, parts, strict=True)
        ]
        first_block = 2 if divergence is None else 3
        return DAFormerOutput(
            logits=found[0],
            embeddings=found[1].transpose(0, 1),
            divergence_logits=None if divergence is None else found[2],
            blocks=None if output.blocks is None else tuple(found[first_block:]),
        )

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        pieces = flat.split([gradient.numel() for gradient in gradients])
        summed = [p.view_as(g) for p, g in zip(pieces, gradients, strict=True)]
        torch._foreach_copy_(gradients, summed)


class _Gather(torch.autograd.Function):
    """Gathers all ranks' rows, in the order of the ranks.

    Every rank computes the same loss of all rows, so the gradient of this rank's rows
    is already complete here, and nothing is exchanged on the way back.
    """

    @staticmethod
    def forward(context: Any, rows: Tensor, part: tuple[int, int]) -> Tensor:
        context.part = part
        whole = rows.new_empty(part[1] * len(rows), *rows.shape[1:])
        dist.all_gather_into_tensor(whole, rows.contiguous())
        return whole

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        number, count = context.part
        return gradient.chunk(count)[number], None
