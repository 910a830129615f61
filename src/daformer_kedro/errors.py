"""Exception for input that a user can correct."""


class InputError(ValueError):
    """A parameter or a file is not usable.

    The message is written for the person who typed the command: it names the
    parameter or the file, gives the value found and says what is allowed. It is
    shown alone, without a traceback.
    """
