"""What can be set: one frozen dataclass, its fields in groups beside each other."""

from zoo.training.settings.whole import Settings as Settings
