"""Exported files against the model."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from markdown_it import MarkdownIt

from daformer_kedro.config import ModelConfig, PreprocessingConfig
from daformer_kedro.config.run import Config
from daformer_kedro.errors import InputError
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.serving import Classifier, ServedModel, export
from daformer_kedro.serving.model_card import model_card

CHECKS = {
    "largest_difference": {
        "num_images": 5,
        "on_test_images": True,
        "onnx": 1e-7,
        "program": 0.0,
    },
    "input": {"shape": ["batch", 8, 8, 3]},
}


def test_what_is_no_number_is_not_what_the_model_says() -> None:
    sound, broken = np.zeros(2), np.array([0.0, np.nan])
    for found in ([sound, broken], [broken, sound]):
        with pytest.raises(InputError, match="differ by nan"):
            export._difference(found, (sound, sound), "ONNX")


def test_a_program_takes_any_number_of_images(classifier: Classifier) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    network = export.ExportedNetwork(classifier).eval()
    program = export._export_program(network, images[:1])
    answers = classifier.answer(images)
    with torch.no_grad():
        probabilities, scores = program.module()(torch.from_numpy(images))
    torch.testing.assert_close(probabilities, answers.probabilities)
    torch.testing.assert_close(scores, answers.unknown_scores, atol=1e-5, rtol=1e-4)


def test_a_missing_package_is_named_with_what_to_type(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec

    def find_spec(name: str) -> object:
        return None if name == "onnxscript" else found(name)

    monkeypatch.setattr(export, "find_spec", find_spec)
    message = r"export needs onnxscript: pip install daformer_kedro\[export\]"
    with pytest.raises(InputError, match=message):
        export.export_model(model)


def test_a_file_that_says_something_else_is_not_exported(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    right = export._run_onnx

    def wrong(content, images):  # type: ignore[no-untyped-def]
        probabilities, scores = right(content, images)
        return [probabilities + 0.01, scores]

    monkeypatch.setattr(export, "_run_onnx", wrong)
    with pytest.raises(InputError, match=r"the ONNX file .* differ by 0\.01"):
        export.export_model(model)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["test_efficientnet", "test_vit"])
def test_a_network_of_timm_is_exported_with_its_scaling(encoder: str) -> None:
    pytest.importorskip("onnxruntime")
    network = DAFormer(
        ModelConfig(
            encoder=encoder,
            encoder_settings={"input_size": 32},
            embed_dim=16,
            num_heads=2,
        ),
        image_size=40,
        in_channels=1,
        task_sizes=[2, 1],
    )
    checkpoint = Checkpoint.of(
        network, preprocessing=PreprocessingConfig(), class_names=("a", "b", "c")
    )
    exported = export.export_model(ServedModel("timm", checkpoint))
    # The exporter itself refuses what differs by 1e-3.
    assert exported.metadata["largest_difference"]["onnx"] < 1e-5
    assert exported.metadata["largest_difference"]["program"] < 1e-5


def test_a_card_can_be_written_of_a_model_without_facts(
    model: ServedModel, classifier: Classifier
) -> None:
    card = model_card(model, classifier, CHECKS)
    assert card.startswith("# small\n")
    assert "| 1 | dog, eel, fox |" in card
    assert "temperature 0.500, a bias for each task" in card
    assert "Whoever passes this model on must know the licence" in card
    assert "## Results" not in card
    bare = replace(model, calibration=type(model.calibration)())
    assert "not calibrated" in model_card(bare, Classifier(bare), CHECKS)


@pytest.mark.parametrize(
    ("licence", "shown"), [("apache-2.0", "apache-2.0"), (None, "not known; ask at")]
)
def test_a_card_says_where_the_encoders_weights_are_from(
    model: ServedModel, licence: str | None, shown: str
) -> None:
    origin = {
        "weights": "pretrained",
        "source": "Hugging Face: timm/test_vit.r160_in1k",
        "licence": licence,
        "sha256": "c0ffee",
    }
    about = dict(model.checkpoint.description)
    about |= {"encoder": origin, "model": {**about["model"], "encoder": "test_vit"}}
    other = replace(model, checkpoint=replace(model.checkpoint, description=about))
    card = model_card(other, Classifier(model), CHECKS)
    assert "- Network: DAFormer, edition S, encoder `test_vit`, " in card
    (line,) = (line for line in card.splitlines() if "encoder began with" in line)
    assert shown in line
    assert "timm/test_vit.r160_in1k, SHA-256 `c0ffee`." in line
    assert "ncoder" not in model_card(model, Classifier(model), CHECKS)


def test_a_card_shows_any_class_name_as_it_is(model: ServedModel) -> None:
    names = [
        "two\nlines",
        "<b>bold</b>",
        "a | b",
        "`c` *d* _e_ __f__ snake_case",
        "[x](y) ![i](j) &amp; $z$ ~~g~~",
        "\\| back",
        "# 1",
    ]
    description = {**model.checkpoint.description, "class_names": names}
    named = replace(
        model, checkpoint=replace(model.checkpoint, description=description)
    )
    card = model_card(named, Classifier(named), CHECKS)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(card)
    cells = [t for t in tokens if t.type == "inline"]
    shown = ["".join(part.content for part in t.children or []) for t in cells]
    assert ", ".join(["two lines", *names[1:4]]) in shown
    assert ", ".join(names[4:]) in shown
    kinds = {
        part.type for t in cells if "bold" in t.content for part in t.children or []
    }
    assert kinds <= {"text", "text_special"}


@pytest.mark.parametrize(
    ("fraction", "named"), [(None, "test images"), (0.2, "validation images")]
)
def test_a_card_says_what_was_measured_on_and_how_the_method_is_called(
    model: ServedModel, fraction: float | None, named: str
) -> None:
    parameters = asdict(Config())
    parameters["source"]["validation_fraction"] = fraction
    parameters["baseline"] = "nearest_mean"
    metrics = {
        "accuracy_matrix": [[0.5]],
        "last_accuracy": 0.5,
        "average_incremental_accuracy": 0.5,
        "forgetting": None,
    }
    described = replace(model, metadata={"settings": parameters, "metrics": metrics})
    card = model_card(described, Classifier(described), CHECKS)
    assert f"## Results on {named}\n" in card
    assert f"- Measured on {named} of the same source" in card
    assert "Method: replay, nearest mean (S)" in card
    assert fraction is None or "test images" not in card
