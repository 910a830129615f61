"""How far code reaches: what a node uses counts wherever it is, and nothing else."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import daformer_kedro
from daformer_kedro.datasets.checkpoint import CheckpointDataset
from daformer_kedro.datasets.images import ImagesDataset
from daformer_kedro.datasets.tensors import TensorsDataset
from daformer_kedro.pipelines.ingestion.nodes import (
    order_classes_node,
    read_images_node,
)
from daformer_kedro.pipelines.task.method_nodes import learn_by_method_node
from daformer_kedro.pipelines.task.nodes import (
    assemble_task_data_node,
    finetune_on_memory_node,
    train_task_node,
)
from daformer_kedro.reuse import modules, reach
from daformer_kedro.reuse.code import code_of

Edit = Callable[[str], None]
"""Makes a change such as ``file.py: old → new``."""

TOY = {
    "__init__.py": "",
    "settings/__init__.py": "from .a import A, S\nfrom .b import B\n",
    "settings/a.py": "S = 0\nclass Base: pass\nclass A(Base):\n    size = 1\n",
    "settings/b.py": "class B: size = 2\n",
    "tools.py": """
from math import floor as rounded
from . import plugins
_state = 0
_kinds = {}
def use(x): return rounded(x) + _state
def set_state(x):
    global _state
    _state = x
def kind(f): _kinds[f.__name__] = f
def of_kind(name): return _kinds[name]()
def aside(): return 5
""",
    "plugins.py": "def one(): return 1\ndef two(): return 2\n",
    "typed.py": """
from typing import TYPE_CHECKING
from .plugins import one, two
if TYPE_CHECKING:
    class Kind:
        name: str
else:
    Kind = one
""",
    "bases.py": """
class Kind:
    known = []
    def __init_subclass__(cls): Kind.known.append(cls)
def make(): return Kind.known[0]()
""",
}
A = "from .settings import A\ndef node(): return A"
B = "from .settings import B\ndef node(): return B"
ATTRIBUTE = "from . import settings as s\ndef node(): return s.B"
PACKAGE = "from . import settings\ndef node(): return settings"
USE = "from .tools import use\ndef node(): return use(1)"
ONE = "from . import plugins\ndef node(): return plugins.one()"
ANY = "from . import plugins\ndef node(n): return getattr(plugins, n)()"
LOCAL = "def node():\n    from .plugins import one\n    return one()"
STAR = "from .plugins import *\ndef node(): return one()"
NAMESPACE = "from .plugins import one\ndef node(n): return globals()[n]()"
BY_NAME = (
    "from importlib import import_module\n"
    "def node(n): return import_module(n, __package__).one()"
)
NAMED = "def node(): run('toyproject.plugins')"
ELSE = "from .typed import Kind\ndef node(): return Kind()"
REGISTRY = "from .tools import of_kind\ndef node(n): return of_kind(n)"
DERIVED = "from .bases import make\nfrom . import plugins\ndef node(): return make()"


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "toyproject"
    for name, content in TOY.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [n for n in sys.modules if n.startswith("toyproject")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("node", "change", "counts"),
    [
        # A package passes names on: the definition counts, and where it comes from.
        (A, "settings/a.py: size = 1 → size = 3", True),
        (A, "settings/a.py: pass → size = 3", True),
        (A, "settings/a.py: S = 0 → S = 3", False),
        (A, "settings/b.py: size = 2 → size = 3", False),
        (B, "settings/__init__.py: .b import B → .a import A as B", True),
        (ATTRIBUTE, "settings/b.py: size = 2 → size = 3", True),
        (ATTRIBUTE, "settings/a.py: size = 1 → size = 3", False),
        (PACKAGE, "settings/a.py: size = 1 → size = 3", True),
        # What a name stands for, and who else writes a variable.
        (USE, "tools.py: floor → ceil", True),
        (USE, "tools.py: _state = x → _state = 2 * x", True),
        (USE, "tools.py: return 5 → return 6", False),
        # Of a module, what is taken of it.
        (ONE, "plugins.py: return 1 → return 3", True),
        (ONE, "plugins.py: return 2 → return 3", False),
        (LOCAL, "plugins.py: return 1 → return 3", True),
        (STAR, "plugins.py: return 1 → return 3", True),
        # Where the code does not show what that is, all of it.
        (ANY, "plugins.py: return 2 → return 3", True),
        (NAMESPACE, "plugins.py: return 1 → return 3", True),
        (BY_NAME, "plugins.py: return 1 → return 3", True),
        (NAMED, "plugins.py: return 1 → return 3", True),
        # What importing a module does, even if nothing is taken of it.
        (USE, "plugins.py: def one → ONE = 1\ndef one", False),
        (USE, "plugins.py: def one → import torch\ntorch.seed()\ndef one", True),
        (USE, "plugins.py: def one → import os\nos.x = 1\ndef one", True),
        # Importing runs the other branch of what type checkers see.
        (ELSE, "typed.py: Kind = one → Kind = two", True),
        (ELSE, "plugins.py: return 1 → return 3", True),
        (ELSE, "plugins.py: return 2 → return 3", False),
        (ELSE, "typed.py: name: str → name: int", False),
        (REGISTRY, "plugins.py: def → from . import tools\n@tools.kind\ndef", True),
        (DERIVED, "plugins.py: def → from .bases import Kind\nX = 1\ndef", False),
        (
            DERIVED,
            "plugins.py: def → from .bases import Kind\nclass X(Kind): pass\ndef",
            True,
        ),
    ],
)
def test_what_a_node_uses_counts(
    toy: Path, node: str, change: str, counts: bool
) -> None:
    (toy / "nodes.py").write_text(node + "\n")
    thing = importlib.import_module("toyproject.nodes").node
    before = code_of(thing)
    _edit(toy, change)
    assert (code_of(thing) != before) == counts


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = Path(daformer_kedro.__file__).parent
    folder = tmp_path_factory.mktemp("src") / source.name
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def edit(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edit]:
    """Changes a copy of this project, of which fingerprints are taken."""
    for module in (modules, reach):
        monkeypatch.setattr(module, "folder_of", lambda top: copied.parent)
    unedited: list[tuple[Path, str]] = []
    yield lambda change: unedited.append(_edit(copied, change))
    for path, text in unedited:
        path.write_text(text, encoding="utf-8")


def _edit(folder: Path, change: str) -> tuple[Path, str]:
    """Make a change; the file and what was in it."""
    file, _, edited = change.partition(": ")
    old, _, new = edited.partition(" → ")
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path, text


def trainings() -> list[dict[str, str]]:
    """Fingerprints of the code of training and of finetuning."""
    datasets = (CheckpointDataset, ImagesDataset, TensorsDataset)
    return [code_of(n, *datasets) for n in (train_task_node, finetune_on_memory_node)]


@pytest.mark.parametrize(
    "change",
    [
        "config/output_sections.py: batch_size: PositiveInt = 64 → batch_size: int = 1",
        "config/output_sections.py: strict: bool = False → strict: bool = True",
        "config/learning_sections.py: batch_size: PositiveInt = 512 → batch_size: int",
        "config/learning_sections.py: selection: → chosen_by:",
        "config/data_sections.py: split_seed: NonNegativeInt = 0 → split_seed: int = 1",
        'config/sections.py: = "digits" → = "other"',
        "config/keys.py: [:8] → [:9]",
        "learning/distributed/launch.py: _POLL_SECONDS = 0.1 → _POLL_SECONDS = 0.2",
        "learning/distributed/elastic.py: def run( → def run(more, ",
        "learning/distributed/on_ray.py: def check( → def check(more, ",
        "learning/distributed/worker.py: def main( → def main(more, ",
        "learning/distributed/join.py: def main( → def main(more, ",
        "learning/distributed/messages.py: def send( → def send(more, ",
        "evaluation/summary.py: def format_summary( → def format_summary(more, ",
        "evaluation/figures/style.py: def  → def other_",
        "framework/results.py: Results and figures → Figures and results",
        "serving/model_card.py: Whoever passes → Who passes",
        "methods/dytox.py: = 0.8 → = 0.7",
        "methods/weight_alignment.py: newest.mul_ → newest.div_",
        "methods/classifiers.py: _TEMPERATURE = 0.1 → _TEMPERATURE = 0.2",
        "methods/__init__.py: } → 'new': Replay}",
        "learning/task.py: def train( → def train(more, ",
        "pipelines/task/method_nodes.py: finish( → finish(None, ",
        "scenario/class_orders/cifar100_order1.json: [ → [ ",
    ],
)
def test_no_training_depends_on_what_it_does_not_use(edit: Edit, change: str) -> None:
    before = trainings()
    edit(change)
    assert trainings() == before


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ("methods/prototypes.py: class Prototypes → class P", False),
        ('methods/__init__.py: "ridge": Ridge → "ridge": Replay', False),
        ("methods/nearest_mean.py: unit.shape[1] → unit.shape[-1]", False),
        ("pipelines/task/method_nodes.py: .choose(candidates) → .choose(0)", False),
        ("pipelines/task/method_nodes.py: .learn(task) → .learn(0)", True),
        ("learning/task.py: def train( → def train(more, ", True),
        ("learning/epochs.py: == num_epochs → != num_epochs", True),
        ("learning/trainer.py: def run( → def run(more, ", True),
    ],
)
def test_a_step_of_a_methods_own_depends_on_no_method_by_itself(
    edit: Edit, change: str, counts: bool
) -> None:
    before = code_of(learn_by_method_node)
    edit(change)
    assert (code_of(learn_by_method_node) != before) == counts


@pytest.mark.parametrize(
    ("change", "training", "finetuning"),
    [
        (
            "objectives/logit_distillation.py: ture**2 → ture**3",
            True,
            True,
        ),
        (
            "objectives/knn_distillation.py: (student) < 2 → (student) < 3",
            True,
            True,
        ),
        ("objectives/knn_distillation.py: = 0.1 → = 0.2", True, True),
        ("objectives/divergence.py: class Divergence → class Other", True, True),
        ("learning/training.py: def _fit( → def _fit(more, ", True, True),
        ("learning/training.py: def finetune_on_memory( → def f(", False, True),
        ("learning/growth.py: def expand_model( → def f(", True, False),
        ("model/decoders/dual_attention.py: def share( → def share(more, ", True, True),
        ("config/learning_sections.py: rho: NonNegative → rho: Positive", True, True),
        ("config/learning_sections.py: = 5e-5 → = 5e-4", False, True),
        ("config/__init__.py: import validated → import validated as f", True, True),
        ("datasets/checkpoint.py: def load( → def load(more, ", True, True),
        # What several ranks compute is no question of where.
        ("learning/distributed/rank.py: ReduceOp.MIN → ReduceOp.MAX", True, True),
        ("parallel/process_group.py: dist.all_reduce(flat) → pass", True, True),
        # Importing a module that training imports does something to all code.
        ("learning/seeding.py: def  → torch.set_num_threads(1)\ndef ", True, True),
    ],
)
def test_training_depends_on_what_it_uses(
    edit: Edit, change: str, training: bool, finetuning: bool
) -> None:
    before = trainings()
    edit(change)
    changed = [a != b for a, b in zip(trainings(), before, strict=True)]
    assert changed == [training, finetuning]


@pytest.mark.parametrize(
    "change",
    [
        "objectives/logit_distillation.py: ture**2 → ture**3",
        "objectives/__init__.py: def terms_of( → def terms_of(more, ",
        "methods/replay.py: class Replay → class Other",
    ],
)
def test_no_image_is_read_again_for_a_loss_or_a_method(edit: Edit, change: str) -> None:
    nodes = (read_images_node, order_classes_node, assemble_task_data_node)
    before = [code_of(node) for node in nodes]
    edit(change)
    assert [code_of(node) for node in nodes] == before
