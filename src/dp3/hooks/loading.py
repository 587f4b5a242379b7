"""Finds, imports and constructs the application's modules."""

import importlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from dp3.config.hierarchy import PlatformConfig
from dp3.hooks.base_module import BaseModule
from dp3.hooks.errors import suggestion
from dp3.hooks.outcome import own_place
from dp3.hooks.registrar import CallbackRegistrar

T = TypeVar("T")
V = TypeVar("V")

Loading = Callable[[str], AbstractContextManager[object]]
"""Makes what is entered while the module of a name is imported or constructed."""


class ModuleLoadError(Exception):
    """Application modules can not be found, imported or constructed. `module` is the name of the first one;
    `file` and `line` say where in the application's code it went wrong, as far as known."""

    def __init__(
        self, message: str, *, module: str | None = None, file: Path | None = None, line: int | None = None
    ) -> None:
        super().__init__(message)
        self.module = module
        self.file = file
        self.line = line

    @classmethod
    def of(cls, errors: Sequence["ModuleLoadError"]) -> "ModuleLoadError":
        """Several errors as one, each on a line of its own below the first."""
        first = errors[0]
        if len(errors) == 1:
            return first
        lines = "\n  ".join(map(str, errors))
        text = f"Modules have {len(errors)} mistakes:\n  {lines}"
        return cls(text, module=first.module, file=first.file, line=first.line)


class LoadedModule(NamedTuple):
    """One module object. `name` is that of its file; a file with several classes gives several."""

    name: str
    instance: BaseModule


def load_modules(
    names: Iterable[str],
    directory: Path,
    make_platform_config: Callable[[], PlatformConfig],
    config_tree: Mapping[str, Any],
    registrar: CallbackRegistrar,
    loading: Loading = nullcontext,
) -> list[LoadedModule]:
    """Import the named modules from the directory (an absolute path), then construct them, in order.

    Each gets the one platform configuration that `make_platform_config` returns, its part
    `modules.<name>` of the configuration (`{}` when there is none) and the registrar in its own name.
    `loading(name)` is entered around each import and construction.
    Raises `ModuleLoadError`, which names module, file, line and cause of each that can not be imported, or,
    if all can, of each class that can not be constructed; nothing of the directory stays imported then.
    """
    try:
        files, classes = _import_all(list(names), directory, loading)
        platform_config, sections = make_platform_config(), config_tree.get("modules", None) or {}

        def construct(name: str, cls: type[BaseModule]) -> LoadedModule:
            settings = sections.get(name, None) or {}
            try:
                with loading(name):
                    return LoadedModule(name, cls(platform_config, settings, registrar.for_module(name)))
            except (Exception, SystemExit) as error:
                what = f"Class {cls.__name__} of module '{name}' can not be constructed"
                raise _failed(what, name, files[name], directory, error) from error

        return _each(construct, classes)
    except ModuleLoadError:
        unload_modules(directory)
        raise


def _each(
    function: Callable[[str, V], T], items: Iterable[tuple[str, V]], found: Iterable[ModuleLoadError] = ()
) -> list[T]:
    """The result of a function for each pair; raises all `ModuleLoadError`s, after those `found`, as one."""
    results: list[T] = []
    errors = list(found)
    for item in items:
        try:
            results.append(function(*item))
        except ModuleLoadError as error:
            errors.append(error)
    if errors:
        raise ModuleLoadError.of(errors)
    return results


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


# -- importing ---------------------------------------------------------------------------------------------
def _import_all(
    names: Sequence[str], directory: Path, loading: Loading
) -> tuple[dict[str, Path], list[tuple[str, type[BaseModule]]]]:
    """The file of each named module, `<name>.py` or `__init__.py` of the package `<name>`, and its classes.

    Raises `ModuleLoadError` when the directory can not be read, a name is not there or is there twice, or its
    file can not be imported.
    """
    available = _available(directory) if names else {}
    files = {name: available[name] for name in names if name in available}

    def import_one(name: str, file: Path) -> list[tuple[str, type[BaseModule]]]:
        with loading(name):
            module = _import(name, file, directory)
        return [(name, cls) for cls in module_classes(name, module)]

    classes = _each(import_one, files.items(), _misnamed(names, available, directory))
    return files, list(chain.from_iterable(classes))


def _misnamed(
    names: Sequence[str], available: Mapping[str, Path], directory: Path
) -> Iterator[ModuleLoadError]:
    """The errors for names that are not there, or are there twice."""
    missing = sorted(set(names) - set(available))
    if missing:
        near = "".join(suggestion(name, available) for name in missing)
        yield ModuleLoadError(
            "Some of desired modules are not available (not in modules folder), "
            f"specifically: {{{', '.join(map(repr, missing))}}} in {directory}.{near}",
            module=missing[0],
        )
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            text = f"Module '{name}' is enabled more than once; remove the repetition."
            yield ModuleLoadError(text, module=name)


def _available(directory: Path) -> dict[str, Path]:
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        raise ModuleLoadError(f"Cannot read the modules folder {directory}: {error.strerror}.") from error
    files = {path.stem: path for path in entries if path.suffix == ".py" and path.stem != "__init__"}
    packages = {path.name: path / "__init__.py" for path in entries if (path / "__init__.py").is_file()}
    return files | packages


def _import(name: str, file: Path, directory: Path) -> ModuleType:
    """Import one module under its plain name. The directory becomes, and stays, the first entry of the import
    path, so that modules can import their siblings, also late. Raises `ModuleLoadError`."""
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
    importlib.invalidate_caches()
    known = sys.modules.get(name)
    if known is not None:
        return _same_file(name, known, file)
    spec = spec_from_file_location(name, file)
    if spec is None:
        raise ModuleLoadError(f"Module '{name}' can not be imported from {file}.", module=name, file=file)
    try:
        return _execute(spec)
    except (Exception, SystemExit) as error:
        raise _failed(f"Module '{name}' can not be imported", name, file, directory, error) from error


def _same_file(name: str, known: ModuleType, file: Path) -> ModuleType:
    """A sibling has imported it already; anything else of that name would be mistaken for it."""
    other = getattr(known, "__file__", None) or "the interpreter"
    if Path(other) == file:
        return known
    raise ModuleLoadError(
        f"Module '{name}' ({file}) has the name of a module already imported from {other}; rename it.",
        module=name,
        file=file,
    )


def _execute(spec: ModuleSpec) -> ModuleType:
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        if spec.loader is not None:
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _failed(what: str, name: str, file: Path, directory: Path, error: BaseException) -> ModuleLoadError:
    """An error that names the last line of the application's own code that the exception passed."""
    place, line = _place(directory, error) or (file, None)
    cause = "".join(traceback.format_exception_only(type(error), error)).strip()
    where = f"{place}:{line}" if line else str(place)
    return ModuleLoadError(f"{what}: {where}: {cause}", module=name, file=place, line=line)


def _place(directory: Path, error: BaseException) -> tuple[Path, int | None] | None:
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(directory):
        return Path(error.filename), error.lineno
    place = own_place(error.__traceback__, directory)
    return None if place is None else (Path(place[0]), place[1])


def unload_modules(directory: Path) -> None:
    """Forget everything that was imported from the directory, and take it off the import path: for tests and
    for programs that load more than one application."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and Path(file).is_relative_to(directory):
            del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if entry != str(directory)]
    importlib.invalidate_caches()
