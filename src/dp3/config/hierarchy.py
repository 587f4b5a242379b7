"""The configuration as modules read it: one nested mapping, with what else every module gets."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dp3.config.yaml_source import parse
from dp3.model.spec import ModelSpec

_NO_DEFAULT = object()


class MissingConfigError(Exception):
    """A mandatory element of the configuration is missing; the message names its full path."""


class HierarchicalDict(dict[Any, Any]):
    """A `dict` whose `get` follows dotted paths and whose `update` merges recursively.

    >>> HierarchicalDict({"api": {"cors": {"allow_origins": ["*"]}}}).get("api.cors.allow_origins")
    ['*']
    """

    def get(self, key: Any, default: Any = _NO_DEFAULT) -> Any:
        """The value at `key`, where each dot descends one level.

        Without a default (None counts as one) a missing element raises `MissingConfigError`.
        """
        value: Any = self
        for part in key.split(".") if isinstance(key, str) else (key,):
            if not isinstance(value, Mapping) or part not in value:
                return self._default(key, default)
            value = value[part]
        return value

    @staticmethod
    def _default(key: Any, default: Any) -> Any:
        if default is _NO_DEFAULT:
            raise MissingConfigError(f"Mandatory configuration element is missing: {key}")
        return default

    def copy(self) -> Self:
        """A shallow copy of the same class."""
        return type(self)(self)

    def update(self, other: Any = (), **ignored: Any) -> None:  # type: ignore[override]
        """Merge a mapping or pairs into this one: mappings on both sides are merged, else the new value wins.

        Nested mappings are replaced by merged copies, so a shallow copy made before keeps its content.
        Keyword arguments are ignored.
        """
        pairs: Iterable[tuple[Any, Any]] = other.items() if isinstance(other, Mapping) else other
        for key, value in pairs:
            self[key] = _merged(self[key], value) if key in self else value

    def __repr__(self) -> str:
        return f"HierarchicalDict({super().__repr__()})"


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    merged = HierarchicalDict(old)
    merged.update(new)
    return merged


def read_config(filepath: str | Path) -> HierarchicalDict:
    """The mapping in one YAML file.

    Raises `TypeError` when the file is empty, `ValueError` when it holds something else than a mapping,
    `yaml.YAMLError` when it is not YAML or has a key twice, `OSError` when it cannot be read.
    """
    path = Path(filepath)
    value = parse(path.read_bytes(), str(path)).value
    if value is None:
        raise TypeError(f"{path}: expected a mapping, got an empty file")
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a mapping, got a {type(value).__name__}")
    return HierarchicalDict(value)


def read_config_dir(dir_path: str | Path, recursive: bool = False) -> HierarchicalDict:
    """Every `.yml` file of a folder under its name without suffix, in sorted order.

    `recursive` adds sub-folders the same way. Empty files and hidden entries are skipped. Raises as
    `read_config`, and `OSError` (`Cannot open: <dir>`) when the folder cannot be opened.
    """
    config = HierarchicalDict()
    for entry in visible_entries(Path(dir_path)):
        if entry.is_dir():
            if recursive:
                config[entry.name] = read_config_dir(entry, recursive=True)
        elif is_config_file(entry):
            try:
                config[entry.stem] = read_config(entry)
            except TypeError:  # an empty file counts as absent
                continue
    return config


def is_config_file(path: Path) -> bool:
    """True for a file that the platform reads: only names that end in exactly `.yml` count."""
    return path.suffix == ".yml" and path.is_file()


def visible_entries(folder: Path) -> Iterator[Path]:
    """The entries of a folder sorted by name, without hidden ones (`.git`, lock files of editors)."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise OSError(f"Cannot open: {folder}: {error.strerror}") from error
    return (entry for entry in entries if not entry.name.startswith("."))


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
