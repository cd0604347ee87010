"""lng-keras and python -m lng_keras: answers mistakes, then imports Keras and works.

See `lng_keras/adopt/cli.py` for what it does.
"""

import sys
from collections.abc import Sequence

from lng_keras._base.errors import UsageError
from lng_keras._base.quiet import notes_dropped
from lng_keras.adopt import completion, early
from lng_keras.adopt.arguments import parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    known = parser()
    arguments = known.parse_args(argv)
    if arguments.command == "completion":
        print(completion.script(known, arguments.shell), end="")
        return 0
    try:
        early.check(arguments)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with notes_dropped():
        from lng_keras.adopt import cli
    return cli.main(argv)


if __name__ == "__main__":
    sys.exit(main())
