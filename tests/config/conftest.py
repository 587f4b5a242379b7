"""Builders of configuration folders."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest
from config_folders import DEVICE, Folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Writes `config/` in an empty working directory and returns its relative path, as a user gives it."""
    monkeypatch.chdir(tmp_path)

    def write(files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            file = Path("config", name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(dedent(text))
        return Path("config")

    return write


@pytest.fixture
def app(folder: Folder) -> Folder:
    """Like `folder`, with one entity type `device` unless the test writes its own."""
    return lambda files: folder({"db_entities/device.yml": DEVICE, **files})
