"""A page to try a model in the browser: ``python -m daformer_kedro demo``."""

from __future__ import annotations

import argparse
import re
import socket
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from socket import AF_INET

import psutil
import uvicorn

from daformer_kedro.commands.predict import load_model
from daformer_kedro.errors import InputError
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.serving import Classifier
from daformer_kedro.serving.demo import LOCAL_HOSTS, demo_app, server_config
from daformer_kedro.terminal import print_any_character

_MOST_PORT = 65535
_ANY_ADDRESS = ("0.0.0.0", "")
_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until Ctrl+C, on this machine alone unless told otherwise."""
    print_any_character()
    options = _parser().parse_args(arguments)
    is_local = options.host in LOCAL_HOSTS
    try:
        model = load_model(options.model, options.project)
        classifier = Classifier(model, resolve_device(options.device, "--device"))
        hosts = _allowed_hosts(options.host, options.allowed_host)
        app = demo_app(classifier, hosts)
        listener = _listen(options.host, options.port)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    port = listener.getsockname()[1]
    here = "127.0.0.1" if is_local else options.host
    sys.stdout.write(f"Model: {model.name} ({model.origin})\n")
    if here in _ANY_ADDRESS:
        here = _own_address()
    if not is_local:
        sys.stdout.write("Whoever reaches this machine over the network may use it,\n")
        sys.stdout.write(f"as {', '.join(hosts)} (--allowed-host adds a name).\n")
    sys.stdout.write(f"Open http://{here}:{port}  (Ctrl+C ends it)\n")
    sys.stdout.flush()
    # Pillow warns of odd files, each time; what matters is said on the page.
    warnings.filterwarnings("ignore", module="PIL")
    with suppress(KeyboardInterrupt):
        uvicorn.Server(server_config(app)).run([listener])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before its address is printed.

    Raises:
        InputError: it is out of range or not free.
    """
    if not 0 <= port <= _MOST_PORT:
        raise InputError(f"--port = {port}: must be from 0 (any free one) to 65535")
    try:
        return socket.create_server((host, port))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"--host = {host!r}, --port = {port}: cannot listen there: {reason}; "
            "another port may be free (0 for any)"
        ) from error


def _allowed_hosts(host: str, others: Sequence[str]) -> tuple[str, ...]:
    """Names under which a browser may address the server.

    Any other name could be one that a page of another site has pointed here, to be
    taken for the server itself (DNS rebinding).

    Raises:
        InputError: one of ``others`` is not the name of a host.
    """
    for name in others:
        if not _HOST.fullmatch(name):
            raise InputError(
                f"--allowed-host = {name!r}: must be a name or an address without a "
                "port, such as demo.example.org, *.example.org for every name below, "
                "or * for any"
            )
    own: list[str] = [host]
    if host in LOCAL_HOSTS:
        own = list(LOCAL_HOSTS)
    elif host in _ANY_ADDRESS:
        addresses = psutil.net_if_addrs().values()
        found = [a.address for of in addresses for a in of if a.family == AF_INET]
        name = socket.gethostname().lower()
        own = [*LOCAL_HOSTS, *found, name, f"{name.partition('.')[0]}.local"]
    return tuple(dict.fromkeys([*own, *(name.lower() for name in others)]))


def _own_address() -> str:
    """This machine's address in its network, for a phone to be pointed to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # chooses a route; nothing is sent
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m daformer_kedro demo",
        description="A page to try a trained model in the browser.",
    )
    parser.add_argument(
        "--model",
        help="run key, id of a run in MLflow, models:/NAME/VERSION, or the folder of "
        "a model downloaded from MLflow; the newest finished run if unset",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 lets phones of the same network in "
        "(default: %(default)s, this machine alone)",
    )
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name under which the page may be addressed, such as that of a "
        "proxy in front of it; may be given several times",
    )
    parser.add_argument("--port", type=int, default=7860, help="default: %(default)s")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--project", type=Path, default=Path.cwd())
    return parser


if __name__ == "__main__":
    sys.exit(main())
