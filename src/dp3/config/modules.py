"""The enabled modules: a check of their files, and each one's own configuration."""

from collections import Counter
from pathlib import Path
from typing import Any

from dp3.config.problems import ConfigurationError
from dp3.config.sections import ProcessingCoreSettings
from dp3.config.source import Source, read_source
from dp3.model.errors import did_you_mean

FOLDER = "modules"
_SECTION = "processing_core"


def resolve_modules_dir(settings: ProcessingCoreSettings, config_dir: Path) -> ProcessingCoreSettings:
    """The settings with an absolute `modules_dir`: a relative one starts at the configuration folder."""
    resolved = (config_dir.absolute() / settings.modules_dir).resolve()
    return settings.model_copy(update={"modules_dir": resolved})


def check_modules(source: Source, settings: ProcessingCoreSettings) -> None:
    """Report enabled modules that stand twice or have no file in `modules_dir`."""
    enabled = settings.enabled_modules
    for name, times in Counter(enabled).items():
        if times > 1:
            path = (_SECTION, "enabled_modules", _last_index(enabled, name))
            source.report(path, f"module '{name}' stands {times} times; expected each module once")
    if enabled:
        _check_files(source, settings)


def _check_files(source: Source, settings: ProcessingCoreSettings) -> None:
    try:
        available = sorted(filter(None, map(_module_name, settings.modules_dir.iterdir())))
    except OSError as error:
        reason = f"cannot open {settings.modules_dir}: {error.strerror}"
        source.report((_SECTION, "modules_dir"), f"expected the folder of the enabled modules, {reason}")
        return
    missing = [name for name in settings.enabled_modules if name not in available]
    if missing:
        path = (_SECTION, "enabled_modules", settings.enabled_modules.index(missing[0]))
        source.report(path, _not_available(missing, available, settings.modules_dir))


def _not_available(missing: list[str], available: list[str], folder: Path) -> str:
    names = ", ".join(repr(name) for name in sorted(set(missing)))
    hints = "".join(did_you_mean(name, available) for name in sorted(set(missing)))
    return (
        "Some of desired modules are not available (not in modules folder), specifically: "
        f"{{{names}}}{hints}; looked in {folder}"
    )


def _module_name(entry: Path) -> str | None:
    if entry.suffix == ".py" and entry.is_file() and entry.stem != "__init__":
        return entry.stem
    return entry.name if (entry / "__init__.py").is_file() else None


def _last_index(names: tuple[str, ...], name: str) -> int:
    return len(names) - 1 - names[::-1].index(name)


def load_module_config(config_dir: Path, name: str) -> dict[str, Any]:
    """The present content of `modules/<name>.yml` (or the folder of that name), empty when there is none.

    Raises `ConfigurationError` when it cannot be used, `ValueError` when `name` is not the name of a module.
    """
    # The name may come from a request: it must not lead out of the folder.
    if not name or name != Path(name).name or name.startswith("."):
        raise ValueError(f"expected the name of a module, got {name!r}")
    folder = config_dir / FOLDER
    if not folder.is_dir():
        return {}
    source = read_source(folder)
    own = [p for p in source.problems if p.file.relative_to(folder).parts[0] in (name, f"{name}.yml")]
    if own:
        raise ConfigurationError(own)
    return dict(source.tree[name]) if name in source.tree else {}
