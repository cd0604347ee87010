"""The finished report: its page, its text and its data."""

import html as html_module
import json
import os
from typing import Any

from lng_keras._base import files
from lng_keras.adopt.report import render


class PocReport:
    """The report; shows as its page in a notebook.

    Attributes:
        content: dict, all that the page shows.
        html, markdown: str, the page and its text.
        paths: dict, "html", "md" and "json" -> the files written, if any.
    """

    def __init__(self, content: dict[str, Any], data: dict[str, Any]):
        self.content = content
        self.data = data
        self.html = render.html(content)
        self.markdown = render.markdown(content)
        self.paths: dict[str, str] = {}

    @property
    def headline(self) -> str:
        """The answer in a few words, and the recommendation."""
        return f"{self.content['label']}. {self.content['headline']}"

    def write(self, folder: str) -> None:
        """Writes report.html, report.md and report.json, each whole or not at all."""
        texts = {
            "html": self.html,
            "md": self.markdown,
            "json": json.dumps(self.data, indent=1),
        }
        for kind, text in texts.items():
            path = os.path.join(folder, f"report.{kind}")
            files.write(path, text)
            self.paths[kind] = path

    def _repr_html_(self):
        page = html_module.escape(self.html, quote=True)
        return (
            f'<iframe srcdoc="{page}" style="width:100%;height:900px;border:0" '
            'title="LN-G report"></iframe>'
        )
