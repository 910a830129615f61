"""Job array for Slurm: one job for each run of a grid."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from daformer_kedro.runs.project_run import ProjectRun

_SECONDS = 120
"""Between the signal and the end of a job's time: enough to save and to queue again."""

_SCRIPT = """#!/bin/bash
#SBATCH --job-name=daformer
#SBATCH --array=1-{count}
#SBATCH --chdir={project}
#SBATCH --output={project}/data/slurm/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@{seconds}
# Time, GPUs and partition are for the command line:
#   sbatch --time=4:00:00 --gres=gpu:1 THIS_FILE
# When a job's time is nearly up, its run stops, keeps what it has finished, and the job
# is queued again; there the run resumes. Slurm itself queues it again where it is
# preempted or its machine fails. scancel stops it for good; to resume after that, write
# this script again with what is missing, and submit it.

unset MLFLOW_RUN_ID  # each run has its own

case "$SLURM_ARRAY_TASK_ID" in
{cases}
esac

stop() {{
  if [ -n "$!" ]; then
    kill -TERM "$!"
    wait "$!"
  fi
}}

queue_again() {{
  stop
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
  exit 0
}}

# Before the run begins: a signal would end this script and leave the run behind.
trap queue_again USR1
trap 'stop; exit 143' TERM
"$@" &
wait "$!"
"""


def array_script(project: Path, runs: Sequence[ProjectRun]) -> str:
    """Write the script of a job array for ``sbatch``.

    Args:
        project: root of the project, on every machine.
        runs: one job each, in their order.
    """
    cases = [
        f"  {number}) set -- {shlex.join(run.command)} ;;"
        for number, run in enumerate(runs, 1)
    ]
    return _SCRIPT.format(
        count=len(runs),
        project=shlex.quote(str(project)),
        seconds=_SECONDS,
        cases="\n".join(cases),
    )
