"""Which search a folder holds, so that another one does not go on from its trials."""

import json
import os
from typing import Any

from lng_keras._base import files
from lng_keras._base.errors import UsageError


def claim(directory: str, settings: dict[str, Any], note: bool) -> None:
    """Refuses a folder of a search with other settings; notes them in a new one.

    Args:
        settings: dict of plain data.
        note: bool, write the settings to `directory` if none are there.

    Raises:
        UsageError: naming the settings that differ, or a file that holds none.
    """
    path = os.path.join(directory, "settings.json")
    text = json.dumps(settings, indent=1)
    if os.path.exists(path):
        try:
            with open(path, encoding="utf-8") as file:
                held = dict(json.load(file))
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"{path} is damaged ({error}): give another `directory`."
            ) from error
        other = [k for k, v in json.loads(text).items() if held.get(k) != v]
        if other:
            raise UsageError(
                f"{directory} holds a search with other settings ({', '.join(other)}): "
                "give another `directory`."
            )
    elif note:
        os.makedirs(directory, exist_ok=True)
        files.write(path, text)
