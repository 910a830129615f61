import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.scenario.sources import read_source
from daformer_kedro.scenario.sources.cifar import CIFAR10, CIFAR100

REPOSITORY = Path(__file__).parents[3]


def _read(path: Path, **options: object) -> ImageArrays:
    return read_source(SourceConfig(name="cifar10", path=str(path), **options))


def _assert_is(images: ImageArrays, expected: dict[str, np.ndarray]) -> None:
    for name, array in expected.items():
        np.testing.assert_array_equal(getattr(images, name), array)


def test_original_pickles(
    cifar10_pickles: Path, ten_classes: dict[str, np.ndarray]
) -> None:
    _assert_is(_read(cifar10_pickles), ten_classes)
    _assert_is(_read(cifar10_pickles / "cifar-10-batches-py"), ten_classes)


@pytest.mark.parametrize("folder", ["", "data", "plain_text"])
def test_parquet(
    cifar10_parquet: Path, ten_classes: dict[str, np.ndarray], folder: str
) -> None:
    if folder:
        root = cifar10_parquet.parent / "root"
        root.mkdir()
        cifar10_parquet.rename(root / folder)
        cifar10_parquet = root
    _assert_is(_read(cifar10_parquet), ten_classes)


def test_class_folders(
    cifar10_folders: Path, ten_classes: dict[str, np.ndarray]
) -> None:
    # Rows go by class: a stable sort of the labels, since file names rise with rows.
    expected = {}
    for split in ("train", "test"):
        order = np.argsort(ten_classes[f"{split}_labels"], kind="stable")
        for part in ("images", "labels"):
            expected[f"{split}_{part}"] = ten_classes[f"{split}_{part}"][order]
    _assert_is(_read(cifar10_folders), expected)


def test_relative_path_starts_at_the_working_directory(
    cifar10_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cifar10_folders.parent)
    assert _read(Path("folders")).num_classes == 10


def test_cifar100_pickles_take_the_fine_labels(
    tmp_path: Path, write_pickle: Callable[..., None]
) -> None:
    labels = list(range(100))
    content = {
        "data": np.arange(100, dtype=np.uint8)[:, None].repeat(3072, axis=1),
        "fine_labels": labels,
        "coarse_labels": [label // 5 for label in labels],
    }
    for name in ("train", "test"):
        write_pickle(tmp_path / "cifar-100-python" / name, content)
    config = SourceConfig(name="cifar100", path=str(tmp_path), classes=("worm", "bed"))
    images = read_source(config)
    assert images.train_labels.tolist() == [1, 0]
    assert images.train_images[:, 0, 0, 0].tolist() == [5, 99]  # bed is 5, worm 99


def test_class_names() -> None:
    assert CIFAR10.class_names[:3] == ("airplane", "automobile", "bird")
    assert CIFAR100.class_names[:3] == ("apple", "aquarium_fish", "baby")
    for source, num_classes in ((CIFAR10, 10), (CIFAR100, 100)):
        assert len(set(source.class_names)) == num_classes
        assert list(source.class_names) == sorted(source.class_names)


def test_missing_path_says_what_to_do() -> None:
    with pytest.raises(InputError) as caught:
        read_source(SourceConfig(name="cifar100", download=True))
    message = str(caught.value)
    assert "source.path is not set" in message
    for part in (
        "cifar-100-python/ (or that folder itself) with train, test",
        "train*.parquet and test*.parquet, also in data/ or cifar100/",
        "columns img and fine_label",
        "train/<class>/*.png and test/<class>/*.png",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "uoft-cs/cifar100",
        "source.download",
    ):
        assert part in message


def test_message_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=f"{tmp_path}/empty has none of them\n"):
        _read(Path("empty"))
    with pytest.raises(InputError, match=f"{tmp_path}/nothing is not a folder\n"):
        _read(Path("nothing"))


def test_download_writes_the_original_layout(
    tmp_path: Path,
    cifar10_pickles: Path,
    ten_classes: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torchvision.datasets import utils

    def fetch(url: str, root: str, filename: str, md5: str) -> None:
        # As published at https://www.cs.toronto.edu/~kriz/cifar.html
        assert url == "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
        assert filename == "cifar-10-python.tar.gz"
        assert md5 == "c58f30108f718f92721af3b95e74349a"
        Path(root).mkdir()
        cifar10_pickles.joinpath("cifar-10-batches-py").rename(
            Path(root) / "cifar-10-batches-py"
        )

    monkeypatch.setattr(utils, "download_and_extract_archive", fetch)
    _assert_is(_read(tmp_path / "new", download=True), ten_classes)
    # The second time the data is there, so a broken download is not noticed.
    monkeypatch.setattr(utils, "download_and_extract_archive", None)
    _assert_is(_read(tmp_path / "new", download=True), ten_classes)


def test_download_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import utils

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(utils, "download_and_extract_archive", fail)
    with pytest.raises(
        InputError, match=r"source.download: CIFAR-10 to .*new failed: File not found"
    ):
        _read(tmp_path / "new", download=True)


def test_pickle_with_code_is_not_run(
    cifar10_pickles: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Attack:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "made_by_pickle"),)

    file = cifar10_pickles / "cifar-10-batches-py" / "data_batch_3"
    file.write_bytes(pickle.dumps({"data": Attack()}))
    with pytest.raises(
        InputError, match="data_batch_3: not a usable pickle: it asks for"
    ):
        _read(cifar10_pickles)
    assert not (tmp_path / "made_by_pickle").exists()


@pytest.fixture(scope="module")
def real_cifar100() -> ImageArrays:
    default = REPOSITORY.parent / "shared" / "data" / "cifar100"
    path = Path(os.environ.get("DAFORMER_CIFAR100", default))
    if not path.is_dir():
        pytest.skip(f"CIFAR-100 NOT TESTED: {path} is missing; set DAFORMER_CIFAR100")
    return read_source(SourceConfig(name="cifar100", path=str(path)))


def test_real_cifar100_has_its_sizes(real_cifar100: ImageArrays) -> None:
    assert real_cifar100.train_images.shape == (50000, 32, 32, 3)
    assert real_cifar100.test_images.shape == (10000, 32, 32, 3)
    assert np.bincount(real_cifar100.train_labels).tolist() == [500] * 100
    assert np.bincount(real_cifar100.test_labels).tolist() == [100] * 100


def test_real_cifar100_has_the_published_statistics(real_cifar100: ImageArrays) -> None:
    mean = real_cifar100.train_images.mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(mean, [0.50708, 0.48655, 0.44092], atol=6e-6)
    # The mean of squares, from a histogram: an exact sum without 50,000 float images.
    for channel, expected in enumerate([0.26733, 0.25644, 0.27615]):
        counts = np.bincount(
            real_cifar100.train_images[..., channel].ravel(), minlength=256
        )
        squares = (counts * (np.arange(256) / 255) ** 2).sum() / counts.sum()
        np.testing.assert_allclose(
            np.sqrt(squares - mean[channel] ** 2), expected, atol=6e-6
        )
