"""The tutorial of arriving classes, as a reader would follow it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "tutorial-new-classes.md").read_text()
(SETTINGS,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
COMMANDS = re.findall(r"```bash\n(.*?)\n```", TEXT, re.S)
TREES = re.findall(r"```\n(photos/.*?)```", TEXT, re.S)
LINE = re.compile(r"^((?:task_\d\d\.)?[a-z_]+): (.+)$", re.M)
SMALL = {
    "model": {"encoder_settings": {"input_size": 32}},
    "preprocessing": {"image_size": 32, "resize": 32},
    "training": {"device": "cpu"},
}


def lay_out(tree: str, photos: Path) -> None:
    """Six photographs a class of a tree as the tutorial draws it."""
    for month, classes in re.findall(r"^  (\w+)/((?:\s+\w+/\*\.jpg)+)$", tree, re.M):
        for name in re.findall(r"(\w+)/\*\.jpg", classes):
            if (photos / month / name).exists():
                continue
            (photos / month / name).mkdir(parents=True)
            generator = np.random.default_rng(len(name))
            for number in range(6):
                pixels = generator.integers(0, 256, (20, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(photos / month / name / f"{number}.jpg")


def typed(project: Any, command: str) -> None:
    words = shlex.split(command)
    assert words[:3] == ["kedro", "run", "--env"], command
    options = set(words[4:])
    assert options <= {"--only-missing-outputs"}, command
    only_missing = bool(options)
    project.run(env=words[3], params=SMALL, only_missing_outputs=only_missing)


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(
    project: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    first, then = COMMANDS
    before, after = TREES
    settings = project.path / "conf" / "my_product" / "parameters.yml"
    settings.parent.mkdir()
    settings.write_text(SETTINGS)
    lay_out(before, project.path / "photos")
    typed(project, first)

    lay_out(after, project.path / "photos")
    assert "write `tasks: [january, february]`" in TEXT
    changed = SETTINGS.replace("[january]", "[january, february]")
    assert changed != SETTINGS
    settings.write_text(changed)
    capsys.readouterr()
    typed(project, then)
    said = dict(LINE.findall(capsys.readouterr().out))
    january = {n: why for n, why in said.items() if n.startswith("task_00.")}
    assert january
    assert all(why.startswith("reused") for why in january.values()), january
    assert not said["task_01.learn_task"].startswith("reused")
    results = pd.read_csv(project.folder("08_reporting") / "results.csv")
    assert results["num_classes_seen"].tolist() == [2, 4]
