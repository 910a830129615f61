"""The upper bound: each task trains on all images of all classes seen so far."""

from daformer_kedro.methods.method import Method, without

JOINT = Method(
    label="joint ({edition})",
    overlay={
        "memory": {"keep": "everything"},
        "losses": without("teacher", "divergence_head"),
        "training": {"freeze_old_tasks": False},
        "finetuning": {"epochs": 0},
    },
)
