import collections
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.restricted_pickle import load_plain_pickle


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_comes_back(tmp_path: Path, protocol: int) -> None:
    file = tmp_path / "data"
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    content = {b"data": array, "labels": [1, 2], "title": ("a", None, 2.5), "": b""}
    file.write_bytes(pickle.dumps(content, protocol=protocol))
    loaded = load_plain_pickle(file)
    np.testing.assert_array_equal(loaded.pop(b"data"), array)
    assert loaded == {"labels": [1, 2], "title": ("a", None, 2.5), "": b""}


def test_python_2_strings_are_latin_1(tmp_path: Path) -> None:
    file = tmp_path / "data"
    # Python 2: pickle.dumps({'data': 'caf\xe9'}, 2), with its SHORT_BINSTRING opcode
    file.write_bytes(b"\x80\x02}U\x04dataU\x04caf\xe9s.")
    assert load_plain_pickle(file) == {"data": "café"}


class _Runs:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (_Runs(os.mkdir, "made_by_pickle"), "posix.mkdir"),
        (_Runs(eval, "1 + 1"), "builtins.eval"),
        (_Runs(getattr, "", "upper"), "builtins.getattr"),
        (collections.OrderedDict(), "collections.OrderedDict"),
        (np.array([_Runs(os.mkdir, "made_by_pickle")], dtype=object), "posix.mkdir"),
    ],
)
def test_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").write_bytes(pickle.dumps(content))
    with pytest.raises(
        InputError, match=rf"data: not a usable pickle: it asks for {name}"
    ):
        load_plain_pickle(Path("data"))
    assert not Path("made_by_pickle").exists()


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    import codecs

    file = tmp_path / "data"
    file.write_bytes(pickle.dumps(_Runs(codecs.encode, "text", "zlib"), protocol=2))
    with pytest.raises(InputError, match="it asks for the encoding 'zlib'"):
        load_plain_pickle(file)


def test_damaged_files(tmp_path: Path) -> None:
    whole = pickle.dumps({"data": np.arange(100)})
    file = tmp_path / "data"
    for damaged in (b"", b"no pickle", whole[:60], whole[:-5]):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match="data: not a usable pickle"):
            load_plain_pickle(file)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing: cannot be read"):
        load_plain_pickle(tmp_path / "missing")
