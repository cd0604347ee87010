"""What a search chooses from, whatever that is."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

Candidate = dict[str, Any]  # plain data


@dataclasses.dataclass(frozen=True)
class Space:
    """The candidates of a search.

    Attributes:
        key: str, what a candidate is called in a row of the result.
        choices: dict, name of a hyperparameter -> its values.
        candidate: function from a value of each hyperparameter to a candidate.
        as_is: the candidate that is the model as it is.
        single: list of candidates, the simplest ones.
        name: function from a candidate to what it is called.
        build: function from a candidate to a new model.
        digests: dict, name -> digest of what a candidate does.
    """

    key: str
    choices: Mapping[str, Sequence[Any]]
    candidate: Callable[[Mapping[str, Any]], Candidate]
    as_is: Candidate
    single: Sequence[Candidate]
    name: Callable[[Candidate], str]
    build: Callable[[Candidate], keras.Model]
    digests: dict[str, Any]

    def best_of(self, trials: Sequence[dict[str, Any]], count: int) -> dict[str, Any]:
        """Name -> candidate: the model as it is, then the best that Hyperband found.

        A short Hyperband tries few; its `count` is then filled up with single
        candidates that it has not tried, so that none is missing for want of luck.

        Args:
            trials: list of dicts, the best first, each with a candidate at `key`.
        """
        chosen = {self.name(self.as_is): self.as_is}
        for candidate in [*(trial[self.key] for trial in trials), *self.single]:
            if len(chosen) <= count:
                chosen.setdefault(self.name(candidate), candidate)
        return chosen
