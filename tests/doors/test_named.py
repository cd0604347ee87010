"""What pages and docstrings name is there: modules, functions, files and commands."""

import importlib.util
import pathlib
import pkgutil
import re

import pytest

pytestmark = pytest.mark.once(reason="reads pages and source code")
ROOT = pathlib.Path(__file__).resolve().parents[2]
OURS = ("lng_keras", "zoo", "experiments", "examples", "tests")
PAGES = [
    path
    for folder in ("", *OURS, "docs", "results", ".ci")
    for path in (ROOT / folder).glob("**/*.md" if folder else "*.md")
]
TEXTS = [
    *PAGES,
    *ROOT.glob("*.py"),
    *(p for f in OURS for p in ROOT.glob(f"{f}/**/*.py")),
]


def named(pattern, files):
    """Returns all that `pattern` finds, as pairs of a file and what was found."""
    return sorted(
        {
            (path, found)
            for path in files
            for found in re.findall(pattern, path.read_text())
        }
    )


def test_links_of_pages_lead_to_files():
    links = named(r"\]\(([^)#:]+)\)", PAGES)
    assert len(links) > 20
    assert not [link for link in links if not (link[0].parent / link[1]).exists()]


def test_modules_of_commands_exist():
    modules = named(rf"python -m ((?:{'|'.join(OURS)})[.\w]*\w)", TEXTS)
    assert len(modules) > 20
    assert not [module for module in modules if not runs(module[1])]


def runs(module):
    found = importlib.util.find_spec(module)
    if found is None or found.submodule_search_locations is None:
        return found
    return importlib.util.find_spec(f"{module}.__main__")


def test_names_in_backticks_exist():
    names = named(rf"`((?:{'|'.join(OURS)})(?:\.[^\W\d]\w*)+)[`(]", TEXTS)
    assert len(names) > 20
    missing = []
    for path, name in names:
        try:
            pkgutil.resolve_name(name)
        except (AttributeError, ImportError) as error:
            missing.append((path, error))
    assert not missing
