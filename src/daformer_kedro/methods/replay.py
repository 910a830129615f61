"""Rehearsal of a memory, with no distillation."""

from daformer_kedro.methods.method import Method, without

REPLAY = Method(label="replay ({edition})", overlay={"losses": without("teacher")})
