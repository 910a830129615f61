"""How Kedro's command line shows a mistake that the user can mend."""

from __future__ import annotations

from kedro.framework.cli.utils import KedroCliError

from daformer_kedro.errors import InputError


class UsageError(KedroCliError, InputError):
    """An :class:`InputError` that a command line shows as one message."""
