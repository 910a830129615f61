"""Studies: the same trials through interruptions, and what is written at the end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import pytest
import yaml
from PIL import Image

from daformer_kedro.config.run import study_key
from daformer_kedro.errors import InputError
from daformer_kedro.runs import failures
from daformer_kedro.runs import study as module
from daformer_kedro.runs.project_run import UnfinishedRunError
from daformer_kedro.runs.study import StudyOutcome, StudySearch
from daformer_kedro.usage import UsageError

# Kedro calls what OmegaConf gives up.
pytestmark = pytest.mark.filterwarnings("ignore:register_new_resolver")

SPACE = {
    "training.learning_rate": {"log_range": [0.001, 0.1]},
    "training.sharpness.rho": {"range": [0.0, 2.0]},
    "augmentation.mixup_alpha": [0.0, 0.8],
    "finetuning.epochs": {"range": [1, 9], "step": 2},
}


class Trials:
    """Stands in for runs: accuracy is best at a rate of 0.01 and without mixing.

    Attributes:
        commands: what was run.
        stops_after: trials until somebody stops the study.
        falls_at: task before which all are alike, as real ones are after the first.
        statuses: what the next processes end with before they have learnt anything.
        is_killed_at_its_end: whether the next trial is stopped after its last task.
    """

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.stops_after = math.inf
        self.tasks_made = 0
        self.falls_at = 1
        self.statuses: list[int] = []
        self.is_killed_at_its_end = False

    def __call__(self, run: Any, log: Path, environment: Any, engine: str) -> Any:
        config = run.state.config
        assert config.source.on_validation
        error = abs(math.log10(config.training.learning_rate / 0.01))
        error += config.augmentation.mixup_alpha
        trials = self

        class Trial:
            def start(self, project: Path) -> None:
                trials.commands.append(str(run.spec))
                if len(trials.commands) > trials.stops_after:
                    raise KeyboardInterrupt

            def tasks(self) -> Iterator[dict[str, Any]]:
                return trials.tasks(0.9 - 0.2 * error)

            def results(self) -> dict[str, Any]:
                return {
                    "average_incremental_accuracy": (1 + 1.8 - 0.4 * error) / 3,
                    "last_balanced_accuracy": 0.45 - 0.1 * error,
                    "processor_seconds": 10.0 + config.finetuning.epochs,
                }

            def stop(self) -> None:
                pass

        return Trial()

    def tasks(self, last: float) -> Iterator[dict[str, Any]]:
        """Iterate over a trial's metrics; ``last`` is of the tasks that are not alike.

        Raises:
            UnfinishedRunError: the process is to fail.
            KeyboardInterrupt: the study is to be stopped.
        """
        if self.statuses and (status := self.statuses.pop(0)):
            raise UnfinishedRunError(f"ended with {status}", status)
        for task in range(3):
            self.tasks_made += 1
            value = 1.0 if task < self.falls_at else last
            yield {"accuracy": value, "balanced_accuracy": value / 2}
        if self.is_killed_at_its_end:
            self.is_killed_at_its_end = False
            raise KeyboardInterrupt


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Trials:
    trials = Trials()
    monkeypatch.setattr(module, "TrialRun", trials)
    monkeypatch.setattr(failures, "_GRACE", 0)
    return trials


def search(project: Any, given: Any = None, **study: Any) -> StudyOutcome:
    study = {"trials": 12, "space": SPACE, **study}
    params = {"study": study, "training": {"epochs": 1}, **(given or {})}
    return StudySearch(project.context(params=params).state).search()


def settings_of(outcome: StudyOutcome) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in sorted(SPACE)) for row in outcome.trials]


def test_an_interrupted_study_has_the_same_trials(project: Any, trials: Trials) -> None:
    whole = search(project, name="whole")
    assert len(set(settings_of(whole))) == 12
    trials.commands.clear()
    for count in (3, 5):  # stopped twice, within a trial
        trials.stops_after = len(trials.commands) + count
        with pytest.raises(UsageError, match="To resume"):
            search(project, name="parts")
    trials.stops_after = math.inf
    parts = search(project, name="parts")
    assert settings_of(parts) == settings_of(whole)
    assert [t["state"] for t in parts.trials] == [t["state"] for t in whole.trials]
    assert trials.commands[3] == trials.commands[4]  # the unfinished one again
    assert search(project, name="parts").trials == parts.trials  # nothing left to do
    other = search(project, name="other", seed=1)
    assert settings_of(other) != settings_of(whole)


def test_more_trials_continue_and_another_space_begins(
    project: Any, trials: Trials
) -> None:
    first = search(project, trials=2)
    assert settings_of(search(project, trials=4))[:2] == settings_of(first)
    assert len(trials.commands) == 4
    search(project, trials=1, space={"training.learning_rate": [0.01]})
    assert len(trials.commands) == 5


def test_hopeless_trials_are_pruned_by_the_median_after_the_same_task(
    project: Any, trials: Trials
) -> None:
    outcome = search(project)
    states = [row["state"] for row in outcome.trials]
    assert states[:4] == ["complete"] * 4
    pruned = [row for row in outcome.trials if row["state"] == "pruned"]
    assert pruned
    assert {row["tasks"] for row in pruned} == {2}  # the first tells nothing
    assert {row["value"] for row in pruned} == {None}
    assert trials.tasks_made == 3 * 12 - len(pruned)
    trials.tasks_made = 0
    whole = search(project, name="whole", prune=False)
    assert {row["state"] for row in whole.trials} == {"complete"}
    assert trials.tasks_made == 3 * 12


def test_a_trial_that_has_learnt_its_last_task_is_not_pruned(
    project: Any, trials: Trials
) -> None:
    trials.falls_at = 2
    outcome = search(project)
    assert {row["state"] for row in outcome.trials} == {"complete"}
    assert {row["tasks"] for row in outcome.trials} == {3}


def test_a_kill_after_the_last_task_changes_no_trial(
    project: Any, trials: Trials
) -> None:
    trials.falls_at = 2
    whole = search(project, trials=8, name="whole")
    values = [row["value"] for row in whole.trials]
    below = [n for n in range(4, 8) if values[n] < median(values[:n])]
    search(project, trials=below[0], name="parts")
    trials.is_killed_at_its_end = True
    with pytest.raises(UsageError, match="To resume"):
        search(project, trials=8, name="parts")
    assert search(project, trials=8, name="parts").trials == whole.trials


def test_a_trial_that_fails_is_left_behind(
    project: Any, trials: Trials, capsys: pytest.CaptureFixture
) -> None:
    trials.statuses = [0, 1, 0, 1, 1, 0]
    states = [row["state"] for row in search(project, trials=6).trials]
    assert states == ["complete", "fail", "complete", "fail", "fail", "complete"]
    assert "trial 1 failed: ended with 1" in capsys.readouterr().err
    trials.statuses = [1, 1, 1]
    with pytest.raises(UsageError, match=r"(?s)last 3 trials failed.*raise study\.tri"):
        search(project, trials=20)
    assert len(trials.commands) == 9
    assert len(search(project, trials=10).trials) == 10


def test_a_trial_that_is_killed_resumes_once_and_a_stopped_one_later(
    project: Any, trials: Trials
) -> None:
    trials.statuses = [137, 0, 137, 137, 0]
    states = [row["state"] for row in search(project, trials=3).trials]
    assert states == ["complete", "fail", "complete"]
    assert trials.commands[0] == trials.commands[1]
    for stop in (130, 143, 143):
        trials.statuses = [stop]
        with pytest.raises(UsageError, match=f"ended with {stop}\n.*resumes there"):
            search(project, trials=4)
    assert search(project, trials=4).trials[3]["state"] != "fail"


def test_an_interruption_while_the_first_trial_is_proposed_repeats_none(
    project: Any, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = {"training.learning_rate": {"log_range": [0.01, 0.1]}}

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "ask", interrupt)
        for _ in range(2):
            with pytest.raises(UsageError):
                search(project, space=space, trials=3)
    rates = [
        row["training.learning_rate"]
        for row in search(project, space=space, trials=3).trials
    ]
    assert rates[0] == 0.04  # of conf/test
    assert len(set(rates)) == 3


def test_the_best_settings_are_an_environment_without_the_validation_share(
    project: Any, trials: Trials
) -> None:
    given = {"source": {"validation_fraction": 0.3}, "seed": 7}
    outcome = search(project, given)
    path = project.path / "conf" / "tuned" / "parameters.yml"
    assert outcome.environment == path
    text = path.read_text()
    assert f"trial {outcome.best} of 12" in text
    written = yaml.safe_load(text)
    assert written["extends"] == "test"
    assert written["training"]["epochs"] == 1  # as the study was given
    best = outcome.trials[outcome.best]
    assert outcome.value == max(t["value"] or 0 for t in outcome.trials)
    assert written["finetuning"]["epochs"] == best["finetuning.epochs"]
    state = project.context(env="tuned").state
    assert not state.config.source.on_validation
    assert state.config.source.validation_fraction is None
    assert state.config.training.learning_rate == best["training.learning_rate"]
    assert "source.evaluate_on=validation" in trials.commands[0]
    assert "source.validation_fraction=0.3" in trials.commands[0]
    assert state.config.seed == 0  # and not the study's
    assert "seed=7" in trials.commands[0]
    search(project, given)  # may be written again


def test_an_environment_of_somebody_else_is_not_replaced(
    project: Any, trials: Trials
) -> None:
    (project.path / "conf" / "digits_2").mkdir()
    with pytest.raises(InputError, match=r"study.name = 'digits_2'.*no study has"):
        search(project, name="digits_2")
    assert trials.commands == []


def test_the_environment_that_a_study_starts_from_is_not_replaced(
    project: Any, trials: Trials
) -> None:
    path = search(project, trials=1).environment
    written = path.read_text()
    below = project.path / "conf" / "below"
    below.mkdir()
    (below / "parameters.yml").write_text("extends: tuned\n")
    for env in ("tuned", "below"):
        state = project.context(env=env, params={"study": {"space": SPACE}}).state
        with pytest.raises(InputError, match=r"study.name = 'tuned': the study's own"):
            StudySearch(state).search()
    for name in ("test", "base", "local"):
        with pytest.raises(InputError, match=f"study.name = '{name}'"):
            search(project, name=name)
    assert path.read_text() == written
    assert len(trials.commands) == 1


@pytest.mark.parametrize(
    ("given", "space"),
    [
        ({}, {"training.patience": [2, 3]}),
        ({"training": {"patience": 2}}, {"training.epochs": [1, 2]}),
    ],
)
def test_an_environment_that_could_not_be_run_is_not_searched_for(
    project: Any, trials: Trials, given: dict[str, Any], space: dict[str, Any]
) -> None:
    share = {"validation_fraction": 0.2}
    with pytest.raises(InputError, match=r"^study.*patience = 2 needs.*evaluate_on=va"):
        search(project, given | {"source": share}, space=space)
    kept = {"source": share | {"evaluate_on": "validation"}}
    search(project, given | kept, space=space, trials=1)
    assert project.context(env="tuned").state.tasks.source.has_validation


def test_accuracy_may_be_weighed_against_processor_time(
    project: Any, trials: Trials
) -> None:
    outcome = search(project, objective="balanced_accuracy", with_processor_time=True)
    assert {row["state"] for row in outcome.trials} == {"complete"}
    for row in outcome.trials:
        assert row["processor_seconds"] == 10 + row["finetuning.epochs"]
    best = max(row["value"] for row in outcome.trials)
    assert outcome.value == best
    for row in outcome.trials:
        is_beaten = any(
            other["value"] >= row["value"]
            and other["processor_seconds"] <= row["processor_seconds"]
            and (other["value"], other["processor_seconds"])
            != (row["value"], row["processor_seconds"])
            for other in outcome.trials
        )
        assert row["on_front"] != is_beaten


def test_of_equally_accurate_trials_the_quickest_is_written(
    project: Any, trials: Trials
) -> None:
    outcome = search(
        project, with_processor_time=True, space={"finetuning.epochs": [9, 7, 3]}
    )
    assert len({row["value"] for row in outcome.trials}) == 1
    assert outcome.settings == {"finetuning.epochs": 3}  # 13 s of 19, 17 and 13
    front = [t["finetuning.epochs"] for t in outcome.trials if t["on_front"]]
    assert set(front) == {3}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"training.learning_rat": [1]}, r"learning_rat is not.*mean learning_rate\?"),
        ({"trainin.epochs": [1]}, r"trainin is not a parameter. Did you mean training"),
        (
            {"training.learning_rate": {"range": [-1.0, 1.0]}},
            r"training.learning_rate = -1.0 must be greater than 0",
        ),
        ({"memory.total": {"range": [3, 100]}}, "memory.total = 3 is smaller than"),
        ({"model.edition": ["S", "X"]}, r"model.edition = 'X'"),
    ],
)
def test_a_mistake_in_the_space_is_one_message_before_any_trial(
    project: Any, trials: Trials, space: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=rf"(?s)^study\.space: .*{message}"):
        search(project, space=space)
    assert trials.commands == []
    assert not (project.path / "data" / "studies").exists()


def test_without_a_space_the_usual_settings_are_searched(
    project: Any, trials: Trials
) -> None:
    (row,) = search(project, trials=1, space={}).trials
    assert {"training.learning_rate", "losses.knn_distillation.weight"} < set(row)
    with pytest.raises(InputError, match=r"study\.space = {'a': None}: name the set"):
        search(project, space={"a": None})


def test_settings_that_exclude_each_other_cost_one_trial_alone(
    project: Any, trials: Trials
) -> None:
    space = {"model.embed_dim": [16, 18], "model.num_heads": [2, 4]}
    outcome = search(project, space=space, trials=8)
    states = {
        (row["model.embed_dim"], row["model.num_heads"]): row["state"]
        for row in outcome.trials
    }
    assert states.get((18, 4), "fail") == "fail"
    assert "complete" in states.values()


def test_the_first_trial_has_the_present_settings_if_the_space_holds_them(
    project: Any, trials: Trials, tmp_path: Path
) -> None:
    present = {
        "augmentation.mixup_alpha": [0.2, 0.8],
        "training.learning_rate": {"log_range": [0.01, 0.1]},
        "finetuning.epochs": {"range": [1, 9], "step": 2},
    }
    (row,) = search(project, trials=1, space=present, name="in").trials
    found = {name: row[name] for name in present}
    assert list(found.values()) == [0.8, 0.04, 1]  # conf/base, conf/test
    for name, values in (
        ("augmentation.mixup_alpha", [0.1, 0.2]),
        ("training.learning_rate", {"range": [0.041, 0.1]}),
        ("finetuning.epochs", {"range": [2, 8], "step": 2}),
    ):
        outcome = search(project, trials=1, space=present | {name: values}, name=name)
        (row,) = outcome.trials
        assert {name: row[name] for name in present} != found
    photos = tmp_path / "photos"
    for name in ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(photos / name)
    ridge = {"baseline_settings.num_random_features": [100, 0]}
    given = {"study": {"trials": 1, "space": ridge}, "source": {"path": str(photos)}}
    state = project.context(env="image_folder", params=given).state
    (row,) = StudySearch(state).search().trials
    assert row["baseline_settings.num_random_features"] == 0  # the method's default


def test_a_study_is_read_by_the_dataset_of_kedro_datasets(
    project: Any, trials: Trials
) -> None:
    optuna_datasets = pytest.importorskip("kedro_datasets_experimental.optuna")
    study = {"trials": 2, "space": SPACE}
    state = project.context(params={"study": study, "training": {"epochs": 1}}).state
    outcome = StudySearch(state).search()
    stored = optuna_datasets.StudyDataset(
        backend="sqlite",
        database="data/studies/tuned/study.db",
        study_name=study_key(state.config),
    ).load()
    assert [t.number for t in stored.trials] == [0, 1]
    assert stored.best_trial.number == outcome.best
    assert stored.best_value == outcome.value


@pytest.mark.parametrize("jobs", [2, 3])
def test_trials_side_by_side(project: Any, trials: Trials, jobs: int) -> None:
    outcome = search(project, jobs=jobs)
    assert sorted(row["trial"] for row in outcome.trials) == list(range(12))
    assert len(trials.commands) == 12
