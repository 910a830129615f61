"""How the command line shows a mistake that the user can mend."""

from __future__ import annotations

import click

from daformer_kedro.errors import InputError


class UsageError(click.ClickException, InputError):
    """An :class:`InputError` that a command line shows as one message."""
