"""All settings of a training, and their way to a record on disk and back."""

import dataclasses

from zoo.training.settings.data import Data
from zoo.training.settings.field import checked
from zoo.training.settings.model import Model
from zoo.training.settings.optimization import Optimization
from zoo.training.settings.run import Run
from zoo.training.settings.speed import Speed


# From the last group to the first: the fields of the last base come first.
@dataclasses.dataclass(frozen=True)
class Settings(Speed, Optimization, Model, Data, Run):
    """What train.py is asked for, each setting a flag of the same name.

    Raises:
        ValueError: for a value that a setting may not have, in one line.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = checked(field, getattr(self, field.name))
            object.__setattr__(self, field.name, value)

    @classmethod
    def from_record(cls, record):
        """Returns the settings of a dict name -> value, such as a record's flags.

        Raises:
            ValueError: for a name that is no setting, and for a wrong value.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(record.keys() - known):
            raise ValueError(f"no setting is named {', '.join(unknown)}")
        return cls(**record)

    def record(self):
        """Returns what makes the same run again: no place of it, and nothing open."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.metadata["kept"] and getattr(self, field.name) not in (None, ())
        }
