"""All images of a source in one folder: memory-mapped arrays, or an index of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kedro.io import AbstractDataset, DatasetError

from daformer_kedro.config.run import Config, source_key
from daformer_kedro.datasets.local_file import LocalFile
from daformer_kedro.scenario.image_files import COPIES, ImageFiles
from daformer_kedro.scenario.images import ImageArrays, Images

_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
_VALIDATION = "is_validation"
_NAMES = "class_names.json"
_ABOUT = "files.json"
_SPLITS = ("train", "test")
_COLUMNS = {"path": "paths", "label": "labels", "num_bytes": "bytes"}


def index_in(project: Path, config: Config) -> Path:
    """Path of the index that the catalog's ``images`` hold of files.

    Args:
        project: its root.
        config: the settings.
    """
    folder = project / "data" / "02_intermediate" / source_key(config)
    return folder / "images" / _ABOUT


class ImagesDataset(LocalFile, AbstractDataset[Images, Images]):
    """Stores what a source gives.

    :class:`~daformer_kedro.scenario.images.ImageArrays` become ``.npy`` files, which
    loading maps, so that several processes share one copy in memory. Of
    :class:`~daformer_kedro.scenario.image_files.ImageFiles` the index alone is stored,
    as one parquet table per split; the images stay where they are. Smaller copies are
    in the folder ``resized`` next to the index, or next to a folder around it, and are
    found there, wherever the project has been moved.

    Args:
        filepath: local path of the folder.
        metadata: for plugins such as Kedro-Viz.
    """

    def load(self) -> Images:
        """Map the arrays, or read the index."""
        try:
            if (self.filepath / _ABOUT).exists():
                return self._load_index()
            names = json.loads((self.filepath / _NAMES).read_text(encoding="utf-8"))
            arrays = {
                name: np.load(self.filepath / f"{name}.npy", mmap_mode="r")
                for name in _ARRAYS
            }
            mask = self.filepath / f"{_VALIDATION}.npy"
            is_validation = np.load(mask) if mask.exists() else None
        except (OSError, ValueError, KeyError) as error:
            raise DatasetError(f"{self.filepath} is incomplete: {error}") from error
        return ImageArrays(
            **arrays, class_names=tuple(names), is_validation=is_validation
        )

    def save(self, data: Images) -> None:
        """Write one file per array and the class names, or the index."""
        self.filepath.mkdir(parents=True, exist_ok=True)
        if isinstance(data, ImageFiles):
            self._save_index(data)
            return
        for name in _ARRAYS:
            np.save(self.filepath / f"{name}.npy", getattr(data, name))
        if data.is_validation is not None:
            np.save(self.filepath / f"{_VALIDATION}.npy", data.is_validation)
        self._write_json(_NAMES, list(data.class_names))

    def _load_index(self) -> ImageFiles:
        about = json.loads((self.filepath / _ABOUT).read_text(encoding="utf-8"))
        arrays: dict[str, Any] = {}
        for split in _SPLITS:
            table = pd.read_parquet(self.filepath / f"{split}.parquet")
            arrays |= {
                f"{split}_{name}": table[column].to_numpy()
                for column, name in _COLUMNS.items()
            }
            arrays[f"{split}_paths"] = arrays[f"{split}_paths"].astype(np.str_)
            if _VALIDATION in table:
                arrays[_VALIDATION] = table[_VALIDATION].to_numpy()
        copied = about["cache_size"] is not None
        return ImageFiles(
            root=self._folder_of_copies() if copied else Path(about["root"]),
            class_names=tuple(about["class_names"]),
            image_size=about["image_size"],
            resize=about["resize"],
            task_sizes=tuple(about["task_sizes"]) if about["task_sizes"] else None,
            cache_size=about["cache_size"],
            **arrays,
        )

    def _save_index(self, data: ImageFiles) -> None:
        for split in _SPLITS:
            table = pd.DataFrame(
                {k: getattr(data, f"{split}_{v}") for k, v in _COLUMNS.items()}
            )
            if split == "train" and data.is_validation is not None:
                table[_VALIDATION] = data.is_validation
            table.to_parquet(self.filepath / f"{split}.parquet")
        about = {
            "root": data.root.as_posix() if data.cache_size is None else None,
            "class_names": list(data.class_names),
            "image_size": data.image_size,
            "resize": data.resize,
            "task_sizes": data.task_sizes,
            "cache_size": data.cache_size,
            "has_validation": data.is_validation is not None,
        }
        self._write_json(_ABOUT, about)

    def _folder_of_copies(self) -> Path:
        above = [folder / COPIES for folder in self.filepath.absolute().parents]
        found = next((folder for folder in above if folder.is_dir()), None)
        if found is None:
            raise DatasetError(
                f"{above[0]} is missing, which held smaller copies of the images; "
                "kedro run --nodes read_images makes them again"
            )
        return found

    def _write_json(self, name: str, content: Any) -> None:
        text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
        (self.filepath / name).write_text(text + "\n", encoding="utf-8")

    def _exists(self) -> bool:
        return any((self.filepath / name).exists() for name in (_NAMES, _ABOUT))
