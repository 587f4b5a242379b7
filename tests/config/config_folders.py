"""What tests write into configuration folders."""

from collections.abc import Callable, Mapping
from pathlib import Path

DEVICE = """\
entity:
  id: device
  name: Device
  snapshot: true
attribs:
  load:
    name: load
    type: observations
    data_type: int
"""

Folder = Callable[[Mapping[str, str]], Path]
