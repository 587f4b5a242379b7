"""What every module gets: the configuration and the model of the running application."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dp3.config.hierarchy import HierarchicalDict
from dp3.model.spec import ModelSpec


def _absolute(path: Any) -> Any:
    return str(Path(path).absolute()) if isinstance(path, str | Path) else path


def _hierarchical(config: Any) -> Any:
    plain = isinstance(config, dict) and not isinstance(config, HierarchicalDict)
    return HierarchicalDict(config) if plain else config


class PlatformConfig(BaseModel):
    """The platform as a module sees it.

    `config` holds everything from the configuration folder `config_base_path` (absolute). The worker is
    number `process_index` (from 0) of `num_processes`. Reading a module's configuration again changes nothing
    here. Raises `pydantic.ValidationError` (a `ValueError`) for impossible values.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    app_name: str
    config_base_path: Annotated[str, BeforeValidator(_absolute)]
    config: Annotated[HierarchicalDict, BeforeValidator(_hierarchical)]
    model_spec: ModelSpec
    num_processes: Annotated[int, Field(ge=1)]
    process_index: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _index_in_range(self) -> Self:
        if self.process_index >= self.num_processes:
            raise ValueError("Process index must be less than total number of processes")
        return self

    def __str__(self) -> str:
        return (
            f"PlatformConfig(app_name={self.app_name!r}, config_base_path={self.config_base_path!r}, "
            f"model_spec={self.model_spec!r}, num_processes={self.num_processes}, "
            f"process_index={self.process_index})"
        )

    __repr__ = __str__
