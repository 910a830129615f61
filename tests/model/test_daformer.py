"""The whole model: sizes, growth, freezing, randomness."""

import copy
import itertools

import pytest
import torch

from daformer_kedro.config import ModelConfig, PreprocessingConfig
from daformer_kedro.errors import InputError
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.model.freezing import freeze_for_finetuning, freeze_for_training
from daformer_kedro.model.size import num_parameters
from daformer_kedro.model.task_batch import TaskChunks

SMALL = {"embed_dim": 24, "num_heads": 3, "depth": 3, "patch_size": 4}
FORMS = [
    {"edition": "S"},
    {"edition": "M"},
    {"attention": ("external",)},
    {"attention": ("internal",)},
    {"edition": "M", "attention": ("external",)},
    {"decoder": "task_attention"},
]


def make(seed=0, image_size=8, channels=3, sizes=(3, 2), divergence=False, **settings):
    return DAFormer(
        ModelConfig(**(SMALL | settings)),
        image_size=image_size,
        in_channels=channels,
        task_sizes=sizes,
        generator=torch.Generator().manual_seed(seed),
        divergence=divergence,
    )


def disturb(model, seed=1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(0.05 * noise)
    return model


def images(batch=5, channels=3, side=8, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, side, side, generator=generator)


def test_the_divergence_head_is_no_part_of_the_classifiers_parameters():
    model = make(sizes=(3, 2), divergence=True)
    head = (24 + 24) + 24 * 3 + 3  # norm, then a map to "old", new and new
    counted = sum(weight.numel() for weight in model.parameters())
    assert num_parameters(model) == counted - head
    model.remove_divergence_head()
    assert num_parameters(model) == counted - head


def test_parameter_counts_on_cifar100():
    """The published 10,690,294 and 10,755,867, summed by hand.

    The released code has no divergence head in the first task.
    """
    width, tokens, head_dim = 384, 64, 32
    norm, square = 2 * width, width * width
    mlp = (width * 1536 + 1536) + (1536 * width + width)
    block = 2 * norm + (3 * square + square + width) + (3 * 12 + 12) + 12 + mlp
    patches = (3 * 16 * width + width) + tokens * width
    decoder = 2 * norm + 3 * square + mlp
    key, head = tokens * head_dim + tokens, norm + 10 * width + 10
    divergence = norm + 11 * width + 11
    unused_projection = square + width
    shared = patches + 5 * block + decoder
    counts = {}
    for num_tasks in (1, 10):
        model = DAFormer(
            ModelConfig(),
            image_size=32,
            in_channels=3,
            task_sizes=[10] * num_tasks,
            divergence=num_tasks > 1,
        )
        counts[num_tasks] = sum(p.numel() for p in model.parameters())
    assert counts[1] == shared + key + head
    assert counts[10] == shared + 10 * (key + head) + divergence
    assert counts[1] + unused_projection == 10_690_294
    assert counts[10] + unused_projection == 10_755_867


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("batch", "channels"), [(1, 1), (5, 3)])
def test_shapes(form, batch, channels):
    model = make(channels=channels, divergence=True, **form).eval()
    output = model(images(batch, channels), return_blocks=True)
    assert output.logits.shape == (batch, 5)
    num_embeddings = 1 if form == {"attention": ("external",)} else 2
    assert output.embeddings.shape == (num_embeddings, batch, 24)
    assert output.divergence_logits.shape == (batch, 3)
    assert [block.shape for block in output.blocks] == [(batch, 4, 24)] * 2
    assert (model.task_sizes, model.num_tasks, model.num_classes) == ((3, 2), 2, 5)


def test_the_rest_is_returned_only_where_asked_for():
    output = make().eval()(images())
    assert output.divergence_logits is None
    assert output.blocks is None


@pytest.mark.parametrize("form", FORMS)
def test_every_weight_has_a_gradient(form):
    model = disturb(make(divergence=True, **form)).eval()
    output = model(images())
    (output.logits.square().sum() + output.divergence_logits.square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        # Softmax over the keys does not see this bias: its true gradient is zero.
        if not name.endswith("pos_proj.bias"):
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize(
    ("width", "num_heads", "side"), [(48, 4, 8), (24, 3, 12), (192, 6, 16)]
)
def test_growth_keeps_old_logits_to_the_bit(form, num_threads, width, num_heads, side):
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        model = make(
            sizes=(3,), embed_dim=width, num_heads=num_heads, image_size=side, **form
        )
        disturb(model).eval()
        with torch.no_grad():
            for batch in (1, 7):
                grown, x = copy.deepcopy(model), images(batch, side=side)
                logits = [grown(x).logits]
                for size in (5, 17, 2):
                    grown.add_task(size)
                    logits.append(grown(x).logits)
                for old, new in itertools.combinations(logits, 2):
                    assert torch.equal(old, new[:, : old.shape[1]])
    finally:
        torch.set_num_threads(before)


def test_growth_renews_the_divergence_head():
    model = make(divergence=True)
    assert model.divergence_head.linear.out_features == 3
    model.add_task(4)
    assert model.divergence_head.linear.out_features == 5
    model.add_task(4, divergence=False)
    assert model.divergence_head is None


def test_grown_parameters_follow_the_models_dtype():
    for form in FORMS:
        model = make(divergence=True, **form).double()
        model.add_task(2)
        assert {p.dtype for p in model.parameters()} == {torch.float64}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (
            {"edition": "S"},
            {"decoder.attn.internal_keys.0", "decoder.attn.internal_biases.0"},
        ),
        (
            {"edition": "M"},
            {
                "decoder.attn.internal_keys.0",
                "decoder.attn.internal_biases.0",
                "decoder.attn.external_maps.0",
            },
        ),
        ({"attention": ("external",)}, set()),
        ({"decoder": "task_attention"}, {"decoder.tokens.0"}),
    ],
)
def test_freezing_for_training(form, expected):
    head = ("norm.weight", "norm.bias", "linear.weight", "linear.bias")
    model = make(**form)
    freeze_for_finetuning(model)
    freeze_for_training(model)
    assert frozen(model) == expected | {f"heads.0.{name}" for name in head}
    freeze_for_training(model, freeze_old_tasks=False)
    assert frozen(model) == set()


def frozen(model):
    return {n for n, p in model.named_parameters() if not p.requires_grad}


def test_freezing_for_finetuning():
    model = make(divergence=True)
    freeze_for_finetuning(model)
    trainable = {n for n, p in model.named_parameters() if p.requires_grad}
    assert {name.split(".")[0] for name in trainable} == {"decoder", "heads"}
    assert not any(n.startswith(("decoder", "heads")) for n in frozen(model))


def test_randomness_comes_from_the_generator_alone():
    state = torch.get_rng_state()
    first, second, third = make(seed=4), make(seed=4), make(seed=5)
    for model in (first, second):
        model.add_task(2, generator=torch.Generator().manual_seed(6))
    generator = torch.Generator().manual_seed(7)
    output = first.train()(images(), generator=generator)
    output.logits.sum().backward()
    assert torch.equal(torch.get_rng_state(), state)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(first.encoder.pos_embed, third.encoder.pos_embed)


def test_stochastic_depth_is_repeatable_and_off_in_evaluation():
    model, x = disturb(make(stochastic_depth=0.5)), images(32)
    first, again, other = (
        model(x, generator=torch.Generator().manual_seed(seed)).embeddings
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with pytest.raises(ValueError, match=r"model\.stochastic_depth = 0\.5"):
        model(x)
    assert torch.equal(model.eval()(x).logits, model(x).logits)


def test_stochastic_depth_keeps_by_its_rate_and_for_each_task():
    model = make(stochastic_depth=0.4, depth=3)
    blocks, decoder = model.stochastic_depth(
        20_000, 2, torch.Generator().manual_seed(0)
    )
    # Rates 0, 0.2 and 0.4 for two encoder blocks and the decoder.
    assert (blocks[0] == 1).all()
    assert blocks[1].unique().tolist() == pytest.approx([0, 1.25])
    assert decoder.shape == (2, 2, 20_000)
    assert (decoder > 0).float().mean().item() == pytest.approx(0.6, abs=0.02)
    assert decoder.mean().item() == pytest.approx(1, abs=0.02)
    assert not torch.equal(decoder[:, 0], decoder[:, 1])


@pytest.mark.parametrize("form", FORMS)
def test_state_dict_round_trip(form):
    model, other = (
        disturb(make(divergence=True, **form)),
        make(5, divergence=True, **form),
    )
    other.load_state_dict(model.state_dict())
    x = images()
    for one, two in zip(model.eval()(x)[:3], other.eval()(x)[:3], strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("form", FORMS)
def test_precisions(form):
    model, x = disturb(make(divergence=True, **form)).eval(), images()
    expected = model(x).logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(x).float()
    assert mixed.logits.dtype == mixed.divergence_logits.dtype == torch.float32
    torch.testing.assert_close(mixed.logits, expected, atol=0.05, rtol=0.05)
    double = model.double()(x.double()).logits
    torch.testing.assert_close(double.float(), expected, atol=1e-5, rtol=1e-4)
    half = model.to(torch.bfloat16)(x.to(torch.bfloat16)).logits
    torch.testing.assert_close(half.float(), expected, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("form", FORMS)
def test_one_graph_without_breaks(form):
    model, x = make(divergence=True, **form).eval(), images()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x).logits, model(x).logits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"image_size": 10},
            r"model\.patch_size = 4 does not divide .* 10 pixels; allowed: 1, 2, 5",
        ),
        ({"sizes": ()}, r"task_sizes = \[\]"),
        ({"sizes": (3, 0)}, "num_classes = 0"),
        ({"channels": 0}, "in_channels = 0"),
        ({"mlp_ratio": 0.001}, r"model\.mlp_ratio = 0\.001"),
    ],
)
def test_impossible_sizes(changes, message):
    with pytest.raises(InputError, match=message):
        make(**changes)


def test_growth_by_no_class():
    with pytest.raises(InputError, match="num_classes = 0"):
        make().add_task(0)


def test_images_of_another_size():
    with pytest.raises(ValueError, match=r"\(5, 3, 8, 12\): \(B, 3, 8, 8\)"):
        make().eval()(torch.zeros(5, 3, 8, 12))


def forward_and_back(model, chunks, keep_generator=None):
    model.zero_grad(set_to_none=True)
    output = model(images(), generator=keep_generator, chunks=chunks)
    output.logits.square().sum().backward()
    return output.logits.detach(), {
        name: p.grad for name, p in model.named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("num_tasks", [1, 2, 3])
def test_tasks_in_chunks_give_the_same_to_the_bit(form, num_tasks):
    model = disturb(make(sizes=(2, 1, 3, 2, 1), **form)).eval()
    chunks = TaskChunks(num_tasks)
    with torch.inference_mode():
        assert torch.equal(
            model(images(), chunks=chunks).embeddings, model(images()).embeddings
        )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("recompute", [False, True])
def test_training_in_chunks_has_the_same_gradients(form, recompute):
    model = disturb(make(sizes=(2, 1, 3), **form)).train()
    results = [
        forward_and_back(model, chunks, torch.Generator().manual_seed(3))
        for chunks in (TaskChunks(), TaskChunks(2, recompute))
    ]
    assert torch.equal(results[0][0], results[1][0])
    assert results[0][1].keys() == results[1][1].keys()
    for name, gradient in results[0][1].items():
        torch.testing.assert_close(
            results[1][1][name], gradient, atol=1e-5, rtol=1e-4, msg=name
        )


def test_recomputing_keeps_activations_of_no_task():
    def saved(num_tasks, chunks):
        model = make(sizes=(1,) * num_tasks)
        numbers = 0

        def count(tensor):
            nonlocal numbers
            numbers += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            model.eval()(images(), chunks=chunks)
        return numbers

    growth = {
        chunks: saved(12, chunks) - saved(4, chunks)
        for chunks in (TaskChunks(2), TaskChunks(2, recompute=True))
    }
    kept, recomputed = growth.values()
    assert recomputed < kept / 10  # heads are left


def test_checkpoints_from_before_the_encoder_was_a_module_load():
    model = disturb(make())
    checkpoint = Checkpoint.of(
        model, preprocessing=PreprocessingConfig(), class_names=tuple("abcde")
    )
    older = {
        name.replace("encoder.blocks.", "encoder.")
        .replace("encoder.patch_embed", "patch_embed")
        .replace("encoder.pos_embed", "pos_embed"): weight
        for name, weight in checkpoint.weights.items()
    }
    assert {"patch_embed.bias", "pos_embed", "encoder.1.attn.v.weight"} <= older.keys()
    description = dict(checkpoint.description)
    description["model"] = {
        name: value for name, value in description["model"].items() if name != "encoder"
    }
    loaded = Checkpoint(older, description).build()
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_unknown_parts_of_the_model(part):
    with pytest.raises(InputError, match=rf"model\.{part} = 'x' .* [aA]llowed: \w+_at"):
        make(**{part: "x"})
