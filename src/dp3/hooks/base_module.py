"""The base class of application modules."""

import logging
from functools import cached_property
from typing import Any

from dp3.config.hierarchy import PlatformConfig
from dp3.hooks.registrar import CallbackRegistrar
from dp3.hooks.registration import SharedFlag


class BaseModule:
    """Derive from it, read the configuration in `load_config` and register hooks in `__init__`.

    `refresh` and `log` come into being when first used, so they are there also for a module whose
    `__init__` uses them before, or without, calling this one.
    """

    def __init__(
        self, platform_config: PlatformConfig, module_config: dict[str, Any], registrar: CallbackRegistrar
    ) -> None:
        self.load_config(platform_config, module_config)

    @cached_property
    def refresh(self) -> SharedFlag:
        """Raised after the module's configuration was read again; pass it to registrations as `refresh`."""
        return SharedFlag(False, banner=f"Refresh {type(self).__name__}")

    @cached_property
    def log(self) -> logging.Logger:
        """The module's logger, named after its class."""
        return logging.getLogger(type(self).__name__)

    def load_config(self, config: PlatformConfig, module_config: dict[str, Any]) -> None:
        """Read the module's configuration: called at construction and whenever it was changed on request."""

    def start(self) -> None:
        """Start own threads: called after the platform is initialised."""

    def stop(self) -> None:
        """End own threads: called before the platform shuts down."""
