"""Names that pipelines, the catalog, the cache and the run log agree on."""

STUDY = "study"
"""Pipeline that searches for settings."""

MONITOR = "monitor"
"""Pipeline that watches a model in use."""

STANDALONE = frozenset({"comparison", "export", "inference", MONITOR, STUDY})
"""Pipelines that are no part of a run: they use finished ones."""

READS_SOURCE_FILES = "source_files"
"""Tag of nodes that read the files at ``source.path``."""

USES_FINISHED_MODEL = "finished_model"
"""Tag of nodes that only use a finished model: they lock no run's results."""

LEARNING = frozenset({"training", "distillation", "memory"})
"""Tags of a task's nodes that learn it; the others evaluate and draw."""

EVALUATION = "evaluation"
"""Tag of nodes whose outputs the run log attaches to the parent run."""

# Datasets of a whole run.
IMAGES = "images"
METRICS = "metrics"
CONFIDENCE = "confidence"
RESULTS = "results"
REPORT = "report"
STUDY_RESULT = "study_result"
MONITOR_SUMMARY = "monitor_summary"
DAYS_DIFFER = "days_differ"
DAYS_TESTED = "days_tested"
"""Flags that a day differs, and was tested; not stored: the exit status follows."""
INFERENCE_TABLE = "inference_table"
EXPORTED_MODEL = "exported_model"

# Datasets of a task, in its namespace.
SAMPLES = "samples"
CHECKPOINT = "checkpoint"
STATISTICS = "statistics"
MODEL_COMPANIONS = ("calibration", "exemplar_bank", "reference", "model_metadata")
"""Files next to the last checkpoint of a finished model."""
ATTACHED = (
    "metrics",
    "training_history",
    "finetuning_history",
    "predictions",
    "exemplar_sheet",
)
"""Files that the run log attaches to the task's run."""

SUMMARISE = "summarise"
"""Node that makes :data:`METRICS` of a whole run."""


def task_name(task: int) -> str:
    """Return ``task_00`` for the first task, and so on."""
    return f"task_{task:02d}"


def of_task(task: str, name: str) -> str:
    """Return the full name of a dataset in a task's namespace."""
    return f"{task}.{name}"
