"""The one kind of error that command lines show as a line, without a traceback."""


class UsageError(ValueError):
    """Something the user gave does not work: a flag, a file, a model.

    The message is one line: what is wrong, what was received, what to do.
    """

    def __init__(self, message: object):
        super().__init__(" ".join(str(message).split()))
