"""The one kind of error that the command line shows without a traceback."""


class UsageError(ValueError):
    """Something the user gave does not work; the message is one line."""

    def __init__(self, message):
        super().__init__(" ".join(str(message).split()))
