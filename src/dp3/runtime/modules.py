"""The life of modules: loaded, started, stopped."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dp3.config.loading import Configuration
from dp3.config.platform import PlatformConfig
from dp3.hooks.loading import LoadedModule, load_modules
from dp3.hooks.registrar import CallbackRegistrar

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Which worker of which application this is."""

    app_name: str
    index: int
    processes: int


def register_modules(
    config: Configuration, identity: WorkerIdentity
) -> tuple[CallbackRegistrar, list[LoadedModule]]:
    """Import the enabled modules and let them register their hooks. Raises `ModuleLoadError`."""
    registrar = CallbackRegistrar(config.model, update_batch_period=config.updater.update_batch_period)

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
        settings.enabled_modules, settings.modules_dir, platform_config, config.tree, registrar
    )
    registrar.seal()
    return registrar, modules


class ModuleStopFailed(Exception):
    """A module's `stop()` raised; the others were stopped all the same."""


@contextmanager
def started(modules: Sequence[LoadedModule]) -> Iterator[None]:
    """Start the modules in order; stop those that were started in reverse order."""
    running: list[LoadedModule] = []
    try:
        for module in modules:
            module.instance.start()
            running.append(module)
        yield
    finally:
        failed = [module.name for module in reversed(running) if not _stopped(module)]
        if failed:
            raise ModuleStopFailed(f"stop() failed in {', '.join(failed)}")


def _stopped(module: LoadedModule) -> bool:
    try:
        module.instance.stop()
    except Exception:
        logger.exception("stop() of module %s failed", module.name)
        return False
    return True
