"""The error that every tool raises for what its user gave: to be caught by its name."""

from lng_keras._base.errors import UsageError as UsageError
