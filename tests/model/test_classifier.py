"""Heads of tasks of uneven sizes."""

import pytest
import torch

from daformer_kedro.model.classifier import TaskHead, TaskHeads


@pytest.mark.parametrize("sizes", [(3,), (4, 4), (2, 17, 1, 40)])
def test_every_head_reads_its_own_embedding(sizes):
    generator = torch.Generator().manual_seed(0)
    heads = TaskHeads(6, sizes, generator=generator)
    with torch.no_grad():
        for parameter in heads.parameters():
            parameter.normal_(generator=generator)
    embeddings = torch.randn(len(sizes), 5, 6, generator=generator)
    expected = torch.cat(
        [head(e) for head, e in zip(heads, embeddings, strict=True)], dim=1
    )
    assert heads.task_sizes == sizes
    torch.testing.assert_close(heads(embeddings), expected, atol=1e-5, rtol=1e-4)


def test_heads_start_as_pytorch_starts_a_linear_layer():
    # Uniform within 1/sqrt(384) = 0.0510, of deviation 0.0510 / sqrt(3) = 0.0295.
    generator = torch.Generator().manual_seed(0)
    head = TaskHead(384, 100, generator=generator).linear
    torch.manual_seed(0)
    usual = torch.nn.Linear(384, 100)
    for ours, theirs in ((head.weight, usual.weight), (head.bias, usual.bias)):
        assert ours.abs().max().item() == pytest.approx(384**-0.5, rel=0.05)
        assert ours.abs().max().item() <= 384**-0.5
        assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.15)
    assert head.weight.std().item() == pytest.approx(0.02946, rel=0.01)
