"""The documents name everything that there is, and point to places that exist."""

import importlib
import inspect
import re
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from dp3.cli.main import COMMANDS, application
from dp3.config.kinds import Unused
from dp3.config.sections import (
    ApiSettings,
    EventGroupSettings,
    LogSettings,
    ProcessingCoreSettings,
    TelemetrySettings,
)
from dp3.hooks.registrar import CallbackRegistrar

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
DEPRECATED = {"register_entity_hook", "register_attr_hook"}


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "section", [ProcessingCoreSettings, LogSettings, ApiSettings, EventGroupSettings, TelemetrySettings]
)
def test_every_setting_in_use_is_documented(section):
    text = page("configuration.md")
    used = [
        name
        for name, field in section.model_fields.items()
        if not any(isinstance(mark, Unused) for mark in field.metadata)
    ]
    assert [name for name in used if not re.search(rf"[`.]{name}[`.]", text)] == []


def test_every_registration_is_documented():
    methods = [
        name
        for name, _ in inspect.getmembers(CallbackRegistrar, inspect.isfunction)
        if "register" in name and not name.startswith("_") and name not in DEPRECATED
    ]
    text = page("modules.md")
    assert [name for name in methods if name not in text] == []


def test_every_command_is_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = get_command(application())
    assert isinstance(command, TyperGroup)
    assert command.commands.keys() == COMMANDS.keys()
    assert [name for name in COMMANDS if f"`dp3 {name}" not in readme] == []


def test_nothing_can_be_imported_that_is_said_not_to_be_there():
    row = next(
        line for line in page("compatibility.md").splitlines() if line.startswith("| Not there to import")
    )
    names = re.findall(r"`(dp3\.[\w.]+)`", row)
    assert len(names) > 8
    assert [name for name in names if is_there(name)] == []


def is_there(name):
    """True if it is a module, or something in one."""
    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), attribute) or bool(importlib.import_module(name))
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(path):
    links = re.findall(r"\]\((?!http)([^)#]*)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if link and not (path.parent / link).exists()] == []
