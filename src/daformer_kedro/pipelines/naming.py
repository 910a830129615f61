"""The name of a task, as namespaces, pipelines and catalog entries carry it."""


def task_name(task: int) -> str:
    """``task_00`` for the first task, and so on."""
    return f"task_{task:02d}"
