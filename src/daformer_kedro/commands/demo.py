"""A page to try a model in the browser: ``python -m daformer_kedro demo``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from daformer_kedro.commands.predict import load_model
from daformer_kedro.errors import InputError
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.serving import Classifier
from daformer_kedro.serving.demo import demo_app
from daformer_kedro.terminal import print_any_character


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page on this machine alone, until Ctrl+C."""
    print_any_character()
    parser = argparse.ArgumentParser(
        prog="python -m daformer_kedro demo",
        description="A page to try a trained model in the browser.",
    )
    parser.add_argument("--model", help="as of predict; the newest finished run")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--project", type=Path, default=Path.cwd())
    options = parser.parse_args(arguments)
    try:
        model = load_model(options.model, options.project)
        app = demo_app(Classifier(model, resolve_device(options.device, "--device")))
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(
        f"Model: {model.name} ({model.origin})\n"
        f"Open http://127.0.0.1:{options.port}  (Ctrl+C ends it)\n"
    )
    sys.stdout.flush()
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
