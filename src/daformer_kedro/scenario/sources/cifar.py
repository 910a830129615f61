"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), read from any of three layouts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.packaged import packaged_list
from daformer_kedro.scenario.sources.cifar_pickles import (
    PickleLayout,
    find_pickle_folder,
    read_pickles,
)
from daformer_kedro.scenario.sources.class_folders import (
    has_class_folders,
    read_class_folders,
)
from daformer_kedro.scenario.sources.parquet_images import (
    ParquetLayout,
    find_parquet_files,
    read_parquet,
)
from daformer_kedro.scenario.sources.source import LabelledImages, SourceMetadata

_SIZE = 32


@dataclass(frozen=True)
class Cifar:
    """32 × 32 RGB images with a test set of their own.

    Attributes:
        name: name of the source.
        title: name of the data set; without its dash, torchvision's class.
        pickles: names in the published archive.
        hub_name: the data set on the Hugging Face hub.
        hub_folder: folder of the parquet files there.
        label_column: their column of labels.
    """

    name: str
    title: str
    pickles: PickleLayout
    hub_name: str
    hub_folder: str
    label_column: str

    @property
    def licence(self) -> str:
        """Terms of the images."""
        return (
            f"{self.title} (A. Krizhevsky, 2009) comes without a licence; its images "
            "were collected from the web. Cite its technical report."
        )

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in label order (alphabetical)."""
        return packaged_list("class_names", self.name)

    def metadata(self, config: SourceConfig) -> SourceMetadata:
        """Return class names and image size, which are the same wherever it lies."""
        return SourceMetadata(self.class_names, image_size=_SIZE, num_channels=3)

    def read(self, config: SourceConfig) -> tuple[LabelledImages, LabelledImages]:
        """Read training and test set from ``config.path``, in whatever layout.

        Where several layouts are present the original pickles come first, then
        parquet. CIFAR-100 from parquet takes about 6 s on one core.

        Raises:
            InputError: there is no data, it is damaged, or the download failed.
        """
        if config.path is None:
            raise InputError(self._no_data("source.path is not set"))
        path = Path(config.path).expanduser().absolute()
        with_test = not config.on_validation
        data = self._read_from(path, with_test)
        if data is None and config.download:
            self._download(path)
            data = self._read_from(path, with_test)
        if data is None:
            reason = "has none of them" if path.is_dir() else "is not a folder"
            raise InputError(self._no_data(f"source.path: {path} {reason}"))
        return data

    def _read_from(
        self, path: Path, with_test: bool
    ) -> tuple[LabelledImages, LabelledImages] | None:
        folder = find_pickle_folder(path, self.pickles)
        if folder is not None:
            return read_pickles(
                folder, self.pickles, len(self.class_names), with_test=with_test
            )
        parquet_files = find_parquet_files(
            [path, path / "data", path / self.hub_folder]
        )
        if parquet_files:
            layout = ParquetLayout(
                image_columns=("img", "image"),
                label_column=self.label_column,
                num_classes=len(self.class_names),
                image_size=_SIZE,
            )
            return read_parquet(parquet_files, layout, with_test=with_test)
        if has_class_folders(path):
            return read_class_folders(
                path, self.class_names, _SIZE, with_test=with_test
            )
        return None

    def _download(self, path: Path) -> None:
        from torchvision import datasets

        archive = getattr(datasets, self.title.replace("-", ""))
        try:
            # The archive alone: making the data set would load its pickles.
            datasets.utils.download_and_extract_archive(
                archive.url, str(path), filename=archive.filename, md5=archive.tgz_md5
            )
        except Exception as error:  # network, disk and archive errors of all kinds
            raise InputError(
                self._no_data(
                    f"source.download: {self.title} to {path} failed: {error}"
                )
            ) from error

    def _no_data(self, reason: str) -> str:
        pickles = ", ".join((*self.pickles.train_files, self.pickles.test_file))
        return f"""{self.title} could not be read. {reason}
source.path must be a folder with one of these layouts:
  - the original archive: {self.pickles.folder}/ (or that folder itself) with {pickles}
  - Hugging Face parquet: train*.parquet and test*.parquet, also in data/ or \
{self.hub_folder}/, with columns img and {self.label_column}
  - one folder per class: train/<class>/*.png and test/<class>/*.png
Ways to get it:
  - unpack the Python version from https://www.cs.toronto.edu/~kriz/cifar.html
  - download the data set {self.hub_name} from the Hugging Face hub
  - set source.path to where it shall lie, and source.download to true"""


CIFAR10 = Cifar(
    name="cifar10",
    title="CIFAR-10",
    pickles=PickleLayout(
        folder="cifar-10-batches-py",
        train_files=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test_file="test_batch",
        label_key="labels",
    ),
    hub_name="uoft-cs/cifar10",
    hub_folder="plain_text",
    label_column="label",
)

CIFAR100 = Cifar(
    name="cifar100",
    title="CIFAR-100",
    pickles=PickleLayout(
        folder="cifar-100-python",
        train_files=("train",),
        test_file="test",
        label_key="fine_labels",
    ),
    hub_name="uoft-cs/cifar100",
    hub_folder="cifar100",
    label_column="fine_label",
)
