"""`dp3 demo` as a user runs it: the real program, its real children."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import psutil
import pytest

from dp3.client import Client
from dp3.demo.findings import read_findings
from dp3.demo.platform import CONFIG, Platform, PlatformFailed
from dp3.demo.watch import Watcher

DEMO = [sys.executable, "-m", "dp3", "demo"]
LIMIT_S = 60


@contextmanager
def demo(*options):
    """A running demonstration, after it said where to look; killed if the test does not end it."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([*DEMO, *options], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        for text in process.stdout:
            if "Ctrl-C ends" in text:
                break
        yield process
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def run(*options):
    return subprocess.run([*DEMO, *options], capture_output=True, text=True, timeout=LIMIT_S, check=False)


def children_of(process):
    return psutil.Process(process.pid).children(recursive=True)


def test_the_demonstration_builds_profiles_and_says_so():
    done = subprocess.run(
        [*DEMO, "--seconds", "3"], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all profiles were built and read back" in done.stdout
    assert re.search(
        r"profiles: 1 host, [1-9]\d* ip, [1-9]\d* process, [1-9]\d* service, [1-9]\d* user", done.stdout
    )


def test_the_demonstration_takes_a_token_where_one_is_needed(tmp_path, monkeypatch):
    command = [sys.executable, "-m", "dp3", "token", "create", str(CONFIG), "demo", "--role", "admin"]
    made = subprocess.run([*command, "--data-dir", str(tmp_path)], capture_output=True, text=True, check=True)
    place = ("--seconds", "3", "--data-dir", str(tmp_path))
    refused = run(*place)
    assert (refused.returncode, "401" in refused.stdout) == (1, True)
    monkeypatch.setenv("DP3_TOKEN", made.stdout.strip())
    done = run(*place)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_in_order(number):
    with demo() as process:
        children = children_of(process)
        process.send_signal(number)
        assert process.wait(LIMIT_S) == 0
    assert len(children) >= 3
    assert not any(child.is_running() for child in children)


def test_nothing_is_left_running_when_the_demonstration_is_killed():
    with demo() as process:
        children = children_of(process)
        process.kill()
        process.wait(LIMIT_S)
        _, alive = psutil.wait_procs(children, timeout=LIMIT_S)
    assert alive == []


def test_a_port_that_is_taken_is_reported():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("--seconds", "1", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "cannot listen on port" in done.stdout


def test_a_platform_that_cannot_start_is_reported_with_what_it_said(tmp_path):
    missing = tmp_path / "nowhere"
    with Platform(tmp_path, config=missing) as platform, pytest.raises(PlatformFailed, match="nowhere"):
        platform.wait_ready(threading.Event())


def test_one_look_sent_with_wait_is_in_the_profiles(tmp_path):
    with Platform(tmp_path) as platform:
        assert platform.wait_ready(threading.Event())
        watcher = Watcher(platform.url)
        assert watcher.step(wait=True)
        assert read_findings(Client(platform.url)).counts["host"] == 1
