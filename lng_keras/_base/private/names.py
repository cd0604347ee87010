"""How a private name of Keras, TensorFlow or torch is looked up.

They promise none of these names. So the files of this folder are the only ones that
touch any, each name says which versions it was checked for, and where one is gone the
error says so in a line. tests/lng_keras/base/test_private.py looks for all of them.
"""

import dataclasses
import importlib
import operator
from typing import Any

from lng_keras._base.errors import UsageError


class NameGone(UsageError):
    """The installed version of a package no longer has a name that is needed here."""


@dataclasses.dataclass(frozen=True)
class Name:
    """A private name.

    Args:
        path: str, from its owner on, such as "_tracker.config".
        needed: str, "to" do what.
        package: str, whose it is.
        checked: str, the versions that were found to have it.
        without: str, how to go on without it.
    """

    path: str
    needed: str
    package: str = "keras"
    checked: str = "3.12 to 3.15"
    without: str = "install one of these"

    def of(self, owner: Any) -> Any:
        """Returns what the name stands for in `owner`.

        Raises:
            NameGone: if it has no such name.
        """
        try:
            return operator.attrgetter(self.path)(owner)
        except AttributeError as error:
            raise self.gone(owner) from error

    def replace(self, owner: Any, value: Any) -> None:
        """Makes the name stand for something else in `owner`, which must have it."""
        self.of(owner)
        *parents, name = self.path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, name, value)

    def gone(self, owner: Any) -> NameGone:
        """The error that says that `owner` has no such name."""
        kind = owner if hasattr(owner, "__name__") else type(owner)
        version = importlib.import_module(self.package).__version__
        return NameGone(
            f"{self.package} {version} has no "
            f"{kind.__name__}.{self.path}, needed {self.needed} and known from "
            f"{self.package} {self.checked}; {self.without}"
        )
