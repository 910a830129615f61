"""Builds the image's stages as folders, where no container engine is at hand.

Does what the Dockerfile says in file systems of their own (``debootstrap``, then
``bwrap``); of its instructions it knows those that the file has.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pathspec import PathSpec

ROOT = Path(__file__).parents[2]
# How this machine reaches package registries; a container engine passes the same on.
_NETWORK = re.compile(r"(?i)(.*_proxy|SSL_CERT_.*|PIP_.*|UV_.*|REQUESTS_CA_BUNDLE)$")


@dataclass
class Stage:
    """A file system that is being made.

    Attributes:
        root: its folder.
        build: arguments of the build.
        environment: of containers, from ENV.
        folder: working directory.
        user: who runs what follows.
        volumes: the only folders that a container writes to, besides ``/tmp``.
        command: of a container that is given none.
    """

    root: Path
    build: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "root"
    volumes: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def build_step(self, line: str) -> None:
        """Run a line of shell as root, with package registries in reach."""
        given = {k: v for k, v in os.environ.items() if _NETWORK.match(k)}
        mounts = [("--bind", self.root, "/"), ("--bind", _CACHE, "/root/.cache")]
        mounts += [("--ro-bind", path, path) for path in _KEPT]
        done = _run(self._bwrap(mounts, self.build | given, ["sh", "-c", line]))
        assert done.returncode == 0, done.stdout

    def container(self, words: list[str], **more: str) -> list[str]:
        """The command that runs another one in it, as a container does."""
        mounts: list[tuple[Any, ...]] = [("--ro-bind", self.root, "/")]
        mounts += [("--bind", self.root / v[1:], v) for v in self.volumes]
        mounts += [("--perms", "1777", "--tmpfs", "/tmp")]
        to_user = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}"]
        to_user += ["--init-groups", "--bounding-set=-all", "--no-new-privs"]
        return self._bwrap(mounts, more, [*to_user, *words])

    def run(self, *words: str, status: int = 0, **more: str) -> str:
        """What a command in it says; it must end with that status."""
        done = _run(self.container(list(words), **more))
        assert done.returncode == status, done.stdout
        return done.stdout

    def _bwrap(
        self, mounts: list[tuple[Any, ...]], more: dict[str, str], words: list[str]
    ) -> list[str]:
        variables = {"PATH": _PATH, "HOME": "/root", **self.environment, **more}
        parts = [
            *(part for mount in mounts for part in mount),
            *("--proc", "/proc", "--dev", "/dev", "--chdir", self.folder),
            *("--unshare-pid", "--die-with-parent", "--cap-add", "ALL", "--clearenv"),
            *(p for pair in variables.items() for p in ("--setenv", *pair)),
        ]
        return ["bwrap", *(str(part) for part in parts), *words]


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CACHE = Path.home() / ".cache"  # what the build mounts as its cache
_KEPT = [
    path
    for path in ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
    if Path(path).exists()
]


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Each instruction of a Dockerfile and what follows it, on one line."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name.upper(), rest.strip()


def sent(paths: Iterable[str]) -> set[str]:
    """Those paths of the project that ``.dockerignore`` lets through."""
    kept, paths = set(paths), list(paths)
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        # The last pattern that fits decides, and a folder stands for what it holds.
        # Unlike git's, a pattern begins at the root.
        anchored = pattern if pattern.startswith("**") else f"/{pattern}"
        fits = set(PathSpec.from_lines("gitignore", [anchored]).match_files(paths))
        kept = kept | fits if line.startswith("!") else kept - fits
    return kept


def build(base: Path, folder: Path, **given: str) -> Stage:
    """Follow the Dockerfile, and return its last stage.

    Args:
        base: a root file system with Python, which stands for the image after FROM.
        folder: where stages go.
        given: arguments of the build.
    """
    stages: dict[str, Stage] = {}
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    stage, files = Stage(base), sent(found.stdout.splitlines())
    for name, rest in instructions((ROOT / "Dockerfile").read_text(encoding="utf-8")):
        if name == "FROM":
            key = rest.partition(" AS ")[2] or "last"
            stage = stages[key] = Stage(folder / key)
            subprocess.run(["cp", "-a", base, stage.root], check=True)
        elif name == "COPY":
            _copy(stage, shlex.split(rest), stages, files)
        else:
            _STEPS[name](stage, rest, given)
    return stage


def _set_argument(stage: Stage, rest: str, given: dict[str, str]) -> None:
    name, _, value = rest.partition("=")
    stage.build[name] = given.get(name, value)


def _set_environment(stage: Stage, rest: str, given: dict[str, str]) -> None:
    for word in shlex.split(rest):
        name, _, value = word.partition("=")
        stage.environment[name] = value.replace("$PATH", _PATH)


def _set_folder(stage: Stage, rest: str, given: dict[str, str]) -> None:
    stage.folder = rest
    stage.root.joinpath(rest[1:]).mkdir(parents=True, exist_ok=True)


_STEPS: dict[str, Callable[[Stage, str, dict[str, str]], None]] = {
    "ARG": _set_argument,
    "ENV": _set_environment,
    "WORKDIR": _set_folder,
    # The cache that --mount asks for is always there.
    "RUN": lambda stage, rest, _: stage.build_step(re.sub(r"--mount=\S+ ", "", rest)),
    "USER": lambda stage, rest, _: setattr(stage, "user", rest),
    "CMD": lambda stage, rest, _: setattr(stage, "command", json.loads(rest)),
    "VOLUME": lambda stage, rest, _: setattr(stage, "volumes", json.loads(rest)),
    "LABEL": lambda *_: None,
}


def _copy(
    stage: Stage, words: list[str], stages: dict[str, Stage], files: set[str]
) -> None:
    source = None
    if words[0].startswith("--from="):
        source = stages[words.pop(0).removeprefix("--from=")].root
    *names, target = words
    place = stage.root / (Path(stage.folder) / target).as_posix().lstrip("/")
    for name in names:
        if source is not None:
            # A folder's content joins what is there. Links, since it is much.
            place.mkdir(parents=True, exist_ok=True)
            content = f"{source / name.lstrip('/')}/."
            subprocess.run(["cp", "-al", content, place], check=True)
            continue
        found = [f for f in files if f == name or f.startswith(f"{name}/")]
        assert found, name
        for file in found:
            into = place / Path(file).name if target.endswith("/") else place
            if file != name:
                into = place / file.removeprefix(f"{name}/")
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, into)
