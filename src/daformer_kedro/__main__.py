"""Entry point of the packaged project: ``python -m daformer_kedro``.

With the name of a program of :mod:`daformer_kedro.commands` it runs that; else it runs
pipelines.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from daformer_kedro.framework.logs import name_logging_file
from daformer_kedro.terminal import print_any_character

_COMMANDS = {
    "predict": "predict",
    "demo": "demo",
    "sweep": "sweep",
    "clean-runs": "clean_runs",
}


def main(*args: Any, **kwargs: Any) -> Any:
    """Run the project as ``kedro run`` would, with the same options."""
    print_any_character()
    argv = list(args[0]) if args else sys.argv[1:]
    if argv and argv[0] in _COMMANDS:
        command = import_module(f"daformer_kedro.commands.{_COMMANDS[argv[0]]}")
        sys.exit(command.main(argv[1:]))
    name_logging_file()
    # Kedro's commands take half a second to import; predict and demo use none of them.
    from kedro.framework.cli.utils import find_run_command
    from kedro.framework.project import configure_project

    package_name = Path(__file__).parent.name
    configure_project(package_name)
    interactive = hasattr(sys, "ps1")
    kwargs["standalone_mode"] = not interactive
    run = find_run_command(package_name)
    return run(*args, **kwargs)


if __name__ == "__main__":
    main()
