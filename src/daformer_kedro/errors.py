"""The one exception for input that a user can fix, and a hint for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable


class InputError(ValueError):
    """A parameter or a file is not usable.

    The message is written for the person who typed the command: it names the
    parameter or the file, gives the value found and says what is allowed. It is
    shown alone, without a traceback.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the closest known name, with a space before it.

    Returns:
        An empty text where nothing is close.
    """
    import difflib  # only ever needed for a message

    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""
