"""Exchange between ranks while they train, behind two small objects.

Every rank draws all chance of the whole batch from the same generator state, sends its
share of the images through the model, and joins the outputs of all ranks. So each of
them computes the loss of the *whole* batch, with mixup's partners and neighbours in the
batch where they are with one process, and the gradient of the whole loss by the
weights is the sum of what the ranks' own images give.
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


class Share:
    """One process: the share is the whole batch, and there is nobody to talk to.

    Attributes:
        part: number of the share and how many equal shares the batch has.
    """

    part = (0, 1)

    def of(self, batch: Tensor) -> Tensor:
        """This rank's rows of a batch."""
        return batch

    def joined(self, output: DAFormerOutput) -> DAFormerOutput:
        """The outputs for the whole batch, in its order."""
        return output

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Add up what all ranks' images give to the gradients, in place."""


class Ranks:
    """One process alone; see :class:`RankGroup` for several.

    Attributes:
        count: number of processes.
    """

    count = 1

    def share(self, num_images: int) -> Share:
        """Divide a batch of so many images."""
        return _WHOLE

    def load(self, state_file: StateFile | None) -> dict[str, Any] | None:
        """Return the state to resume from, for all ranks; ``None`` to start afresh."""
        return None if state_file is None else state_file.load()

    def check_agreement(self, model: nn.Module) -> None:
        """Make sure that all ranks hold the same weights.

        Raises:
            RanksDisagreeError: they do not.
        """


_WHOLE = Share()
ALONE = Ranks()


class RankGroup(Ranks):
    """This process as one of those of ``torch.distributed``'s process group.

    What tensors on a GPU go through is NCCL's, the rest gloo's.

    Args:
        lead: the rank that reads and writes files.
    """

    def __init__(self, lead: int = 0) -> None:
        self.lead = lead
        self.number = dist.get_rank()
        self.count = dist.get_world_size()

    @property
    def is_lead(self) -> bool:
        """Return whether this rank reads and writes files."""
        return self.number == self.lead

    def share(self, num_images: int) -> Share:
        """Equal shares; a batch that cannot be divided is computed by every rank.

        Only the one batch of a phase with fewer images than a batch can be such a
        batch, since the batch size itself is a multiple of the ranks.
        """
        if num_images % self.count:
            return _WHOLE
        return _EqualShare(self.number, self.count)

    def load(self, state_file: StateFile | None) -> dict[str, Any] | None:
        """Return what the lead finds, sent to all."""
        return self.sent(super().load(state_file) if self.is_lead else None)

    def sent(self, value: Any) -> Any:
        """The lead's value on every rank: plain values and tensors, on the CPU."""
        buffer = io.BytesIO()
        if self.is_lead:
            torch.save(value, buffer)
        body = self.sent_bytes(buffer.getvalue())
        return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)

    def sent_bytes(self, value: bytes) -> bytes:
        """The lead's bytes on every rank; the others' argument does not count."""
        size = torch.tensor(len(value))
        dist.broadcast(size, self.lead)
        content = torch.empty(int(size), dtype=torch.uint8)
        if self.is_lead:
            content.copy_(torch.frombuffer(bytearray(value), dtype=torch.uint8))
        dist.broadcast(content, self.lead)
        return content.numpy().tobytes()

    def all_say(self, answer: bool) -> bool:
        """Return whether the value is true on every rank."""
        lowest = torch.tensor(int(answer))
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


class _EqualShare(Share):
    """One of several equal parts of a batch, in the order of the ranks."""

    def __init__(self, number: int, count: int) -> None:
        self.part = (number, count)

    def of(self, batch: Tensor) -> Tensor:
        number, count = self.part
        return batch.chunk(count)[number]

    def joined(self, output: DAFormerOutput) -> DAFormerOutput:
        # One message for all parts, an image's numbers in one row: (B, X).
        divergence, blocks = output.divergence_logits, output.blocks or ()
        parts = [output.logits, output.embeddings.transpose(0, 1)]
        parts += [] if divergence is None else [divergence]
        parts += blocks
        rows = torch.cat([part.flatten(1) for part in parts], dim=1)
        whole = _Join.apply(rows, self.part).split([p[0].numel() for p in parts], 1)
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


class _Join(torch.autograd.Function):
    """All ranks' rows, in the order of the ranks.

    Every rank computes the same loss of all rows, so the gradient of this rank's rows
    is already whole here, and nothing has to be said on the way back.
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
