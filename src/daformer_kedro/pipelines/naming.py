"""Names that pipelines, the catalog, the cache and the run log agree on."""

READS_SOURCE_FILES = "source_files"
"""Tag of nodes that read the files at ``source.path``."""

STANDS_APART = "stands_apart"
"""Tag of nodes that use finished models: they need no source, and lock no results."""


def task_name(task: int) -> str:
    """``task_00`` for the first task, and so on."""
    return f"task_{task:02d}"
