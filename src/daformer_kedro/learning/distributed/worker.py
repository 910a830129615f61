"""One rank as a process: ``python -m daformer_kedro.learning.distributed.worker``.

PyTorch's elastic launcher starts it, with the job's folder as the one argument, or with
none on other machines than the one where the job was made.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import torch
import torch.distributed as dist

from daformer_kedro.learning.distributed.job import JobFolder
from daformer_kedro.learning.distributed.rank import backend, run_rank
from daformer_kedro.learning.saving import finish_writing

_POLL_SECONDS = 0.2


def main() -> None:
    """Join the process group that the environment describes, and run the job."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if path is not None:
        _print_to(JobFolder(path).log_path(int(os.environ["RANK"])))
    parent = os.getppid()
    threading.Thread(target=_watch, args=(path, parent), daemon=True).start()
    local_count = int(os.environ["LOCAL_WORLD_SIZE"])
    torch.set_num_threads(max(1, torch.get_num_threads() // local_count))
    try:
        dist.init_process_group(backend())
        run_rank(path, int(os.environ["LOCAL_RANK"]))
    except Exception:
        # The others' ends look like failures to the one who is last.
        if _is_over(path, parent):
            os._exit(0)
        raise
    dist.destroy_process_group()


def _print_to(path: Path) -> None:
    """Keep what this process and its libraries print out of the run's display."""
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def _watch(path: Path | None, parent: int) -> None:
    """End this process when it is no longer wanted, whatever it is doing."""
    while not _is_over(path, parent):
        time.sleep(_POLL_SECONDS)
    finish_writing()
    # As a success, which the launcher does not restart.
    os._exit(0)


def _is_over(path: Path | None, parent: int) -> bool:
    """Return whether the job was ended, or the process that started this one died."""
    if os.getppid() != parent:
        return True
    return path is not None and not JobFolder(path).is_wanted


if __name__ == "__main__":
    main()
