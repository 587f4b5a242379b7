"""The life of modules: loaded, started, stopped."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dp3.config.hierarchy import PlatformConfig
from dp3.config.loading import Configuration, ConfigurationError, load_module_config
from dp3.hooks.loading import LoadedModule, Loading, load_modules
from dp3.hooks.registrar import CallbackRegistrar
from dp3.hooks.registration import SharedFlag

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """The worker and the application that this process belongs to."""

    app_name: str
    index: int
    processes: int


class Modules(NamedTuple):
    """The modules of a worker, and what they registered."""

    registrar: CallbackRegistrar
    loaded: Sequence[LoadedModule]
    platform_config: PlatformConfig


def register_modules(
    config: Configuration, identity: WorkerIdentity, loading: Loading = nullcontext
) -> Modules:
    """Import the enabled modules and let them register their hooks; `loading(name)` is entered around each
    step. Raises `ModuleLoadError`."""
    registrar = CallbackRegistrar(config.model, update_batch_period=config.updater.update_batch_period)

    @cache
    def platform_config() -> PlatformConfig:
        return PlatformConfig(
            app_name=identity.app_name,
            config_base_path=str(config.path),
            config=config.tree,
            model_spec=config.model,
            num_processes=identity.processes,
            process_index=identity.index,
        )

    settings = config.processing_core
    modules = load_modules(
        settings.enabled_modules, settings.modules_dir, platform_config, config.tree, registrar, loading
    )
    registrar.seal()
    return Modules(registrar, modules, platform_config())


class ModuleConfigs:
    """Gives modules their configuration anew, from the files in `directory`."""

    def __init__(self, directory: Path, modules: Modules) -> None:
        self._directory = directory
        self._modules = modules

    def refresh(self, name: str) -> dict[str, Any]:
        """Read the configuration of a module, call its `load_config` with it and raise its `refresh` flag.

        Returns what to answer: how many objects took it, or why not. A file with mistakes changes nothing."""
        instances = [module.instance for module in self._modules.loaded if module.name == name]
        if not instances:
            return {"error": f"module '{name}' is not loaded"}
        try:
            module_config = load_module_config(self._directory, name)
        except (ConfigurationError, ValueError) as error:
            return {"error": str(error)}
        for instance in instances:
            try:
                instance.load_config(self._modules.platform_config, module_config)
            except (Exception, SystemExit) as error:
                logger.exception("load_config() of module %s failed", name)
                return {"error": f"load_config() of module '{name}' failed: {type(error).__name__}: {error}"}
            # A module that does not call the constructor of its base has no flag.
            if isinstance(flag := getattr(instance, "refresh", None), SharedFlag):
                flag.set()
        logger.info("module %s has loaded its configuration again", name)
        return {"done": len(instances)}


class ModuleStartFailed(Exception):
    """A module's `start()` wanted to end the process: with which status is not for a module to say."""


class ModuleStopFailed(Exception):
    """A module's `stop()` raised; the others were stopped all the same."""


@contextmanager
def started(modules: Sequence[LoadedModule]) -> Iterator[None]:
    """Start the modules in order; stop those that were started in reverse order."""
    running: list[LoadedModule] = []
    try:
        for module in modules:
            _start(module)
            running.append(module)
        yield
    finally:
        failed = [module.name for module in reversed(running) if not _stopped(module)]
        if failed:
            raise ModuleStopFailed(f"stop() failed in {', '.join(failed)}")


def _start(module: LoadedModule) -> None:
    try:
        module.instance.start()
    except Exception as error:
        error.add_note(f"start() of module {module.name} failed")
        raise
    except SystemExit as error:
        text = f"start() of module {module.name} failed: SystemExit: {error}"
        raise ModuleStartFailed(text) from error


def _stopped(module: LoadedModule) -> bool:
    try:
        module.instance.stop()
    except (Exception, SystemExit):
        logger.exception("stop() of module %s failed", module.name)
        return False
    return True
