"""The lower bound: each task trains on its own images alone."""

from daformer_kedro.methods.method import Method, without

FINETUNE = Method(
    label="finetune ({edition})",
    overlay={
        "memory": {"keep": "nothing"},
        "losses": without("teacher", "divergence_head"),
        "finetuning": {"epochs": 0},
    },
)
