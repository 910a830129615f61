"""Entry point of the packaged project: ``python -m daformer_kedro``.

With ``predict`` or ``demo`` it uses a finished model; else it runs pipelines.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from daformer_kedro.terminal import print_any_character


def main(*args: Any, **kwargs: Any) -> Any:
    """Run the project as ``kedro run`` would, with the same options."""
    print_any_character()
    words = list(args[0]) if args else sys.argv[1:]
    if words[:1] == ["predict"]:
        from daformer_kedro.predict import main as predict

        sys.exit(predict(words[1:]))
    if words[:1] == ["demo"]:
        from daformer_kedro.demo import main as demo

        sys.exit(demo(words[1:]))
    # Kedro's commands take half a second to import; the others above use none of them.
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
