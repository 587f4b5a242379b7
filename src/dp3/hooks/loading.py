"""Finds, imports and constructs the application's modules."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from dp3.config.hierarchy import PlatformConfig
from dp3.hooks.base_module import BaseModule
from dp3.hooks.importing import ModuleLoadError, failed, find_modules, import_file, unload_modules
from dp3.hooks.registrar import CallbackRegistrar

__all__ = ["LoadedModule", "ModuleLoadError", "load_modules", "module_classes", "unload_modules"]


class LoadedModule(NamedTuple):
    """One module object. `name` is that of its file; a file with several classes gives several."""

    name: str
    instance: BaseModule


class _Found(NamedTuple):
    name: str
    file: Path
    classes: list[type[BaseModule]]


def load_modules(
    names: Iterable[str],
    directory: Path,
    make_platform_config: Callable[[], PlatformConfig],
    config_tree: Mapping[str, Any],
    registrar: CallbackRegistrar,
) -> list[LoadedModule]:
    """Import the named modules from the directory (an absolute path), then construct them, in order.

    Each gets the one platform configuration that `make_platform_config` returns, its part
    `modules.<name>` of the configuration (`{}` when there is none) and the registrar in its own name.
    Raises `ModuleLoadError`, which names module, file, line and cause; nothing of the directory stays
    imported then.
    """
    try:
        found = [
            _Found(name, file, module_classes(name, import_file(name, file, directory)))
            for name, file in find_modules(list(names), directory).items()
        ]
        platform_config = make_platform_config()
        return [
            LoadedModule(
                module.name, _construct(cls, module, directory, platform_config, config_tree, registrar)
            )
            for module in found
            for cls in module.classes
        ]
    except ModuleLoadError:
        unload_modules(directory)
        raise


def module_classes(name: str, module: ModuleType) -> list[type[BaseModule]]:
    """The classes to construct: those visible in the module and defined in it (for a package: anywhere in it)
    that derive from `BaseModule`, except bases of others among them; in alphabetical order."""
    visible = [value for _, value in sorted(vars(module).items()) if isinstance(value, type)]
    own = [cls for cls in dict.fromkeys(visible) if _is_own(cls, name)]
    leaves = [cls for cls in own if not any(other is not cls and issubclass(other, cls) for other in own)]
    if not leaves:
        raise ModuleLoadError(
            f"Module '{name}' ({module.__file__}) defines no class that derives from BaseModule. Define one, "
            "or, in a package, import it in __init__.py.",
            module=name,
            file=Path(module.__file__ or name),
        )
    return leaves


def _is_own(cls: type, name: str) -> bool:
    defined_here = cls.__module__ == name or cls.__module__.startswith(f"{name}.")
    return defined_here and issubclass(cls, BaseModule)


def _construct(
    cls: type[BaseModule],
    module: _Found,
    directory: Path,
    platform_config: PlatformConfig,
    config_tree: Mapping[str, Any],
    registrar: CallbackRegistrar,
) -> BaseModule:
    module_config = (config_tree.get("modules", None) or {}).get(module.name, None) or {}
    try:
        return cls(platform_config, module_config, registrar.for_module(module.name))
    except (Exception, SystemExit) as error:
        what = f"Class {cls.__name__} of module '{module.name}' can not be constructed"
        raise failed(what, module.name, module.file, directory, error) from error
