"""Dual attention against a loop over tasks and heads."""

import copy

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from daformer_kedro.config import ModelConfig
from daformer_kedro.model.decoders.dual_attention import DualAttention
from daformer_kedro.model.decoders.dual_attention_decoder import DualAttentionDecoder
from daformer_kedro.model.decoders.task_residual import add_to_each_task

BOTH = ("external", "internal")


def make(edition="S", parts=BOTH, num_tasks=3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    attention = DualAttention(
        8, 2, 5, edition=edition, parts=parts, generator=generator
    )
    for _ in range(num_tasks - 1):
        attention.add_task()
    attention.to(dtype)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.normal_(generator=generator)
    tokens = torch.randn(3, 5, 8, generator=generator, dtype=dtype)
    return attention, tokens


class Whole(torch.nn.Module):
    """What tasks share and what they do not, in one call: (T, B, N, D)."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, x):
        weights = self.attention.weights()
        shared = self.attention.share(x, weights)
        external = self.attention.external(shared)
        internal = self.attention(shared, weights)
        if internal is None:
            internal, external = external.unsqueeze(3), None
        return add_to_each_task(torch.zeros_like(x), external, internal, None)[0]


def by_loop(attention, x, task):
    """One task, head by head, in the words of the equations."""
    query, value = attention.query(x), attention.value(x)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        q, v = query[..., part] / 4**0.5, value[..., part]
        out = torch.zeros_like(v)
        if attention.external_maps:
            maps = list(attention.external_maps)
            key = x @ (maps[task] if len(maps) > 1 else maps[0]).T
            out = out + (q @ key[..., part].mT).softmax(-1) @ v
        if attention.internal_keys:
            scores = q @ attention.internal_keys[task].T
            out = out + (scores + attention.internal_biases[task]).softmax(-1) @ v
        heads.append(out)
    return torch.cat(heads, dim=-1)


@pytest.mark.parametrize("edition", ["S", "M"])
@pytest.mark.parametrize("parts", [BOTH, ("external",), ("internal",)])
def test_all_tasks_at_once(edition, parts):
    attention, x = make(edition, parts)
    output = Whole(attention)(x)
    if edition == "S" and parts == ("external",):
        assert len(output) == 1  # nothing depends on the task
    for task in range(len(output)):
        expected = by_loop(attention, x, task)
        torch.testing.assert_close(output[task], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("edition", "parts", "num_maps", "num_keys"),
    [
        ("S", BOTH, 1, 3),
        ("M", BOTH, 3, 3),
        ("S", ("external",), 1, 0),
        ("M", ("external",), 3, 0),
        ("M", ("internal",), 0, 3),
    ],
)
def test_parameters_of_each_form(edition, parts, num_maps, num_keys):
    attention, _ = make(edition, parts)
    assert len(attention.external_maps) == num_maps
    assert len(attention.internal_keys) == len(attention.internal_biases) == num_keys


def test_growth_adds_zero_keys_and_a_copy_of_the_last_map():
    attention, _ = make("M")
    attention.add_task()
    assert not attention.internal_keys[-1].any()
    assert not attention.internal_biases[-1].any()
    assert torch.equal(attention.external_maps[-1], attention.external_maps[-2])
    assert attention.external_maps[-1] is not attention.external_maps[-2]


@pytest.mark.parametrize("edition", ["S", "M"])
def test_gradients_in_float64(edition):
    attention, x = make(edition, num_tasks=2, dtype=torch.float64)
    whole = Whole(attention)
    names = [name for name, _ in whole.named_parameters()]

    def run(x, *values):
        weights = dict(zip(names, values, strict=True))
        return torch.func.functional_call(whole, weights, (x,))

    inputs = (x[:2].requires_grad_(), *attention.parameters())
    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize("edition", ["S", pytest.param("M", marks=pytest.mark.slow)])
def test_two_graphs_serve_any_number_of_tasks(edition):
    """One of a single task, whose axis the compiler drops, and one of more tasks."""
    config = ModelConfig(
        embed_dim=24, num_heads=3, depth=2, patch_size=4, edition=edition
    )
    counter = CompileCounterWithBackend("aot_eager")
    generator = torch.Generator().manual_seed(0)
    decoder = DualAttentionDecoder(config, 16, generator=generator)
    x = torch.randn(5, 16, 24, generator=generator)
    torch.compiler.reset()
    for num_tasks in range(1, 6):
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        keep = torch.rand(2, num_tasks, 5, generator=generator)
        results = []
        for compiled in (False, True):
            model = copy.deepcopy(decoder)
            if compiled:
                for module in model.repeated_modules():
                    module.compile(backend=counter)
            output = model(x, keep)
            output.square().sum().backward()
            results.append((output, [p.grad for p in model.parameters()]))
        torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)
        decoder.add_task(generator)
    torch.compiler.reset()
    assert counter.frame_count == 2
