"""Heads of tasks of uneven sizes."""

import pytest
import torch

from daformer_kedro.model.classifier import TaskHeads


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
