"""Folders of training and of test images, recognised by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from daformer_kedro.errors import InputError

_TRAIN, _TEST, _VALIDATION = "train", "test", "val"
_ROLES = {
    _TRAIN: ("train", "training", "trn"),
    _TEST: ("test", "tests", "testing", "tst", "eval", "evaluation", "holdout"),
    _VALIDATION: ("val", "valid", "validation", "validate", "dev", "development"),
}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words}
_FILLERS = (
    *("set", "sets", "data", "dataset", "image", "images", "img", "imgs", "photo"),
    *("photos", "picture", "pictures", "split", "folder", "files"),
)
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NO_LETTER = re.compile(r"[\W\d_]+")


class Splits(NamedTuple):
    """Names of the folders of training and test images, and of the others there.

    Attributes:
        train: images to train on.
        test: images to test on.
        others: folders that are not read.
        validation: where there are both kinds, images to make choices by.
    """

    train: str
    test: str
    others: tuple[str, ...] = ()
    validation: str | None = None


def pair_splits(folders: Iterable[str]) -> Splits | None:
    """Find the folders of training and test images among some folders' names.

    ``Train``, ``training_set`` and ``train2017`` say the same, and so do ``test``,
    ``val``, ``valid``, ``dev``, ``eval`` and their like. Words that both names share,
    as in ``birds_train`` and ``birds_test``, do not matter. Where there is a folder to
    test and one to validate, that is what they are for; else either is to test.

    Returns:
        ``None`` where there are no two such folders.

    Raises:
        InputError: several folders may be meant; they are named.
    """
    folders = sorted(folders)
    found: defaultdict[str, defaultdict[str, list[str]]]
    found = defaultdict(lambda: defaultdict(list))
    for name in folders:
        role, subject = _read(name)
        if role is not None:
            found[subject][role].append(name)
    pairs = [roles for roles in found.values() if _TRAIN in roles and len(roles) > 1]
    if not pairs:
        _refuse_strangers(folders)
        return None
    train = [name for roles in pairs for name in roles[_TRAIN]]
    tests = [name for roles in pairs for name in roles[_TEST]]
    validations = [name for roles in pairs for name in roles[_VALIDATION]]
    if not tests:
        tests, validations = validations, []
    kinds = (("training", train), ("test", tests), ("validation", validations))
    for kind, names in kinds:
        if len(names) > 1:
            raise InputError(
                f"{' and '.join(names)} may both hold {kind} images; keep one"
            )
    chosen = (train[0], tests[0], *validations)
    others = tuple(name for name in folders if name not in chosen)
    return Splits(train[0], tests[0], others, *validations)


def _refuse_strangers(folders: Sequence[str]) -> None:
    """Refuse folders that all train or test, but share no other word."""
    roles = {_read(name)[0] for name in folders}
    if None not in roles and _TRAIN in roles and len(roles) > 1:
        raise InputError(
            f"{' and '.join(folders)} may hold training and test images; name their "
            "folders train and test"
        )


def is_split(folder: str) -> bool:
    """Return whether a folder's name only says whether its images train or test."""
    return _read(folder)[0] is not None and not _read(folder)[1]


def is_training(folder: str) -> bool:
    """Return whether a folder's name says that its images train."""
    return _read(folder)[0] == _TRAIN


def _read(folder: str) -> tuple[str | None, str]:
    """Return the use of a folder's images, if its name gives it, and other words."""
    spaced = _CAMEL_CASE.sub(" ", folder).casefold()
    words = _NO_LETTER.sub(" ", spaced).replace("hold out", "holdout").split()
    roles, others = set[str](), list[str]()
    for word in words:
        role = _role_of(word)
        if role is not None:
            roles.add(role)
        elif word not in _FILLERS:
            others.append(word)
    return (roles.pop() if len(roles) == 1 else None), " ".join(others)


def _role_of(word: str) -> str | None:
    if word in _ROLE_OF:
        return _ROLE_OF[word]
    # As in trainset: nothing but a filler follows.
    heads = (word.removesuffix(filler) for filler in _FILLERS if word.endswith(filler))
    return next((_ROLE_OF[head] for head in heads if head in _ROLE_OF), None)
