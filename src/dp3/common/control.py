"""Messages that ask running workers to do something."""

from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ControlAction(Enum):
    """The actions that can be asked for."""

    make_snapshots = "make_snapshots"
    refresh_on_entity_creation = "refresh_on_entity_creation"
    refresh_module_config = "refresh_module_config"


class ControlMessage(BaseModel):
    """An action and its arguments, such as `etype` or `module`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: ControlAction
    kwargs: dict[str, Any] = Field(default_factory=dict)
