"""The configuration as modules see it."""

from dp3.config.hierarchy import (
    HierarchicalDict,
    MissingConfigError,
    PlatformConfig,
    read_config,
    read_config_dir,
)
from dp3.config.kinds import CronExpression, CronStr, TimeInt
from dp3.model.spec import EntitySpecDict, ModelSpec, entity_type_context

__all__ = [
    "CronExpression",
    "CronStr",
    "EntitySpecDict",
    "HierarchicalDict",
    "MissingConfigError",
    "ModelSpec",
    "PlatformConfig",
    "TimeInt",
    "entity_type_context",
    "read_config",
    "read_config_dir",
]
