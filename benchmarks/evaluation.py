"""Images per second of evaluation, and seconds of herding, against the textbook's way.

    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --device cuda --images 10000 --batch-size 512

Evaluation classifies images with CIFAR-100's network after T tasks: the textbook's
model of ``benchmarks/baseline.py`` batch by batch with ``.item()`` after each, and the
package's ``extract``, which also returns the embeddings. Herding takes 20 of 500 images
of each of ten classes: the textbook forms every candidate's mean again at each step, as
algorithm 4 of iCaRL is written; the package updates one direction. Both take turns, and
what they return is compared.
"""

from __future__ import annotations

import argparse
import statistics

import torch
import torch.nn.functional as F
from baseline import PlainDAFormer, Sizes
from torch import Tensor
from turns import median_ratio, take_turns

from daformer_kedro.augmentation.transform import normalise
from daformer_kedro.config import PreprocessingConfig
from daformer_kedro.learning.extraction import extract
from daformer_kedro.learning.memory import herding_order
from daformer_kedro.model.reference import from_reference_state_dict

PREPROCESSING = PreprocessingConfig((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
_NUM_CLASSES, _NUM_IMAGES, _NUM_EXEMPLARS = 10, 500, 20


@torch.no_grad()
def plain_evaluation(
    model: PlainDAFormer, images: Tensor, targets: Tensor, batch_size: int
) -> float:
    """Accuracy, read from the device batch by batch."""
    device = next(model.parameters()).device
    right = 0.0
    for batch, wanted in zip(
        images.split(batch_size), targets.split(batch_size), strict=True
    ):
        logits, _ = model(normalise(batch.to(device), PREPROCESSING))
        right += (logits.argmax(dim=1) == wanted.to(device)).sum().item()
    return right / len(targets)


def plain_herding(features: Tensor, num: int) -> list[int]:
    """Algorithm 4 of iCaRL as it is written; a sample may be taken once."""
    unit = F.normalize(features.double(), dim=1)
    mean = unit.mean(dim=0)
    taken: list[int] = []
    total = torch.zeros_like(mean)
    while len(taken) < num:
        candidates = (total + unit) / (len(taken) + 1)
        distances = (mean - candidates).norm(dim=1)
        distances[taken] = torch.inf
        best = int(distances.argmin().item())
        taken.append(best)
        total += unit[best]
    return taken


def evaluation_row(options: argparse.Namespace, num_tasks: int) -> str:
    """Classify the same images with the same weights in both ways."""
    torch.manual_seed(0)
    plain = PlainDAFormer(Sizes(), [2] * num_tasks).to(options.device).eval()
    own = from_reference_state_dict(plain.state_dict()).to(options.device).eval()
    images = torch.randint(256, (options.images, 3, 32, 32), dtype=torch.uint8)
    targets = torch.randint(2 * num_tasks, (options.images,))

    def package() -> float:
        _, logits = extract(own, images, PREPROCESSING, options.batch_size)
        return float((logits.argmax(dim=1) == targets).double().mean())

    def textbook() -> float:
        return plain_evaluation(plain, images, targets, options.batch_size)

    assert abs(package() - textbook()) < 0.01, "the two do not compute the same"
    measured = take_turns(
        {"textbook": textbook, "package": package}, options.repetitions
    )
    rates = [options.images / statistics.median(times) for times in measured.values()]
    return (
        f"| evaluation, T = {num_tasks} | {rates[0]:,.0f} images/s | "
        f"{rates[1]:,.0f} images/s | {median_ratio(measured):.2f} |"
    )


def herding_row(options: argparse.Namespace, num_tasks: int) -> str:
    """Take the exemplars of ten classes in both ways."""
    generator = torch.Generator().manual_seed(0)
    shape = (_NUM_CLASSES, _NUM_IMAGES, 384 * num_tasks)
    features = torch.randn(shape, generator=generator) + 1

    def package() -> list[list[int]]:
        return [herding_order(part, _NUM_EXEMPLARS).tolist() for part in features]

    def textbook() -> list[list[int]]:
        return [plain_herding(part, _NUM_EXEMPLARS) for part in features]

    assert package() == textbook(), "the two take different exemplars"
    measured = take_turns(
        {"textbook": textbook, "package": package}, options.repetitions
    )
    plain, own = (statistics.median(times) for times in measured.values())
    return (
        f"| herding, T = {num_tasks} | {plain:.2f} s | {own:.2f} s | "
        f"{median_ratio(measured):.2f} |"
    )


def main() -> None:
    """Print a row for each measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", default="1,10,50")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    print("| | textbook | package | ratio |\n| --- | --- | --- | --- |")
    for make_row in (evaluation_row, herding_row):
        for num_tasks in (int(number) for number in options.tasks.split(",")):
            print(make_row(options, num_tasks), flush=True)


if __name__ == "__main__":
    main()
