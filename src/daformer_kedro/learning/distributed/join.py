"""Take part in the trainings of another machine, until this command is stopped.

``python -m daformer_kedro.learning.distributed.join HOST:PORT --nnodes 2 --devices 4``
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time

# The other machine's end of a training is not a reason for torch to print its stack.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

from torch.distributed.elastic.rendezvous import RendezvousError

from daformer_kedro.errors import InputError
from daformer_kedro.learning.devices import check_devices
from daformer_kedro.learning.distributed.elastic import RanksFailedError, launch

_LOGGER = logging.getLogger(__name__)
_SECONDS_BETWEEN = 1.0


def join(rendezvous: str, num_machines: int, num_ranks: int) -> None:
    """Run this machine's ranks of one training after the other, for ever.

    Args:
        rendezvous: ``training.rendezvous`` of the run.
        num_machines: ``training.nnodes`` of the run.
        num_ranks: ``training.devices`` of the run.
    """
    _LOGGER.info("Waiting for trainings at %s; Ctrl+C ends this", rendezvous)
    while True:
        try:
            launch(num_ranks, num_machines, rendezvous, is_host=False)
            _LOGGER.info("Took part in a training")
        except RanksFailedError as error:
            _LOGGER.warning("%s", error)
        except (RendezvousError, RuntimeError) as error:
            # Between two trainings nobody is there.
            _LOGGER.debug("%s", error)
        time.sleep(_SECONDS_BETWEEN)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rendezvous", metavar="HOST:PORT")
    parser.add_argument("--nnodes", type=int, required=True, help="machines in all")
    parser.add_argument("--devices", type=int, default=1, help="ranks on this machine")
    parser.add_argument("--device", default="auto", help="the run's training.device")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        check_devices(options.device, options.devices)
    except InputError as error:
        sys.exit(str(error))
    # In a thread, since the launcher takes over signals in the main one. Ranks end
    # when this process has.
    work = (options.rendezvous, options.nnodes, options.devices)
    thread = threading.Thread(target=join, args=work, daemon=True)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
