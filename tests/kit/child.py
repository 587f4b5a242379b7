"""Programs of the test kit in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def start(module: str, *arguments: Any) -> subprocess.Popen[str]:
    """Run a module of the kit; its input and output are pipes."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
