"""The first screen of the README works as it is written."""

import json
import re
import threading
import time
from pathlib import Path

import pytest

from dp3.client import Client
from dp3.demo.platform import Platform

README = Path(__file__).parents[2] / "README.md"
FILE = re.compile(r"`(app/[\w/.]+)`[^`]*?```(?:yaml|python)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def readme():
    return README.read_text(encoding="utf-8")


@pytest.fixture
def application(readme, tmp_path):
    """The files that the README shows, where it says."""
    files = FILE.findall(readme)
    assert [name for name, _ in files] == [
        "app/config/db_entities/server.yml",
        "app/modules/alarm.py",
        "app/config/processing_core.yml",
    ]
    for name, content in files:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return tmp_path / "app" / "config"


def test_the_module_has_about_ten_lines(readme):
    [module] = [content for name, content in FILE.findall(readme) if name.endswith(".py")]
    assert len([line for line in module.splitlines() if line.strip()]) <= 10


def test_the_request_gives_the_shown_answers(readme, application, tmp_path):
    sent = json.loads(re.search(r"-d '(\[.*?\])'", readme, re.DOTALL).group(1))
    shown_ok, shown_master = (
        json.loads(text) for text in re.findall(r"^(\{.*?\})\n(?:\n|```)", readme, re.M | re.S)
    )
    data = tmp_path / "data"
    data.mkdir()
    with Platform(data, config=application) as platform:
        assert platform.wait_ready(threading.Event())
        client = Client(platform.url)
        answer = client.request("POST", "/datapoints", query={"wait": True}, body=sent)
        master = profile_with(client, "too_hot")
    assert answer == shown_ok
    assert without_times_of_writing(master) == without_times_of_writing(shown_master)


def profile_with(client, attr):
    """The profile, once the module's answer has arrived."""
    deadline = time.monotonic() + 10
    while True:
        master = client.get("/entity/server/web-1/master")
        if attr in master or time.monotonic() > deadline:
            return master


def without_times_of_writing(master):
    text = json.dumps(master, sort_keys=True)
    return re.sub(r'("ts_last_update"|"#time_created"): "[^"]*"', r"\1: TIME", text)
