"""Rules of finding, importing and constructing modules."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dp3.config.hierarchy import HierarchicalDict, PlatformConfig
from dp3.hooks.loading import LoadedModule, ModuleLoadError, load_modules, unload_modules
from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.spec import ModelSpec

HEAD = "from dp3.common.base_module import BaseModule\n"
Load = Callable[..., list[LoadedModule]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + textwrap.dedent(text))
        return path

    return write


@pytest.fixture
def load(tmp_path: Path, model: ModelSpec, registrar: CallbackRegistrar) -> Iterator[Load]:
    config = HierarchicalDict({"modules": {"configured": {"limit": 5}, "empty": None}})

    def make_platform_config() -> PlatformConfig:
        return PlatformConfig(
            app_name="test",
            config_base_path=str(tmp_path),
            config=config,
            model_spec=model,
            num_processes=1,
            process_index=0,
        )

    def load(*names: str, tree: dict[str, Any] = config) -> list[LoadedModule]:
        return load_modules(names, tmp_path, make_platform_config, tree, registrar)

    yield load
    unload_modules(tmp_path)


def loaded_classes(loaded: list[LoadedModule]) -> list[str]:
    return [f"{module.name}.{type(module.instance).__name__}" for module in loaded]


def test_files_and_packages_are_loaded_in_the_order_of_their_names_in_the_configuration(
    write: Any, load: Load
) -> None:
    write("single.py", "class Single(BaseModule): ...")
    write("package/__init__.py", "class Whole(BaseModule): ...")
    assert loaded_classes(load("single", "package")) == ["single.Single", "package.Whole"]


def test_all_own_classes_of_a_file_are_loaded_in_alphabetical_order(write: Any, load: Load) -> None:
    write("several.py", "class B(BaseModule): ...\nclass A(BaseModule): ...\nclass Plain: ...")
    assert loaded_classes(load("several")) == ["several.A", "several.B"]


def test_class_with_two_names_is_loaded_once(write: Any, load: Load) -> None:
    write("twice.py", "class A(BaseModule): ...\nAlias = A")
    assert loaded_classes(load("twice")) == ["twice.A"]


def test_indirect_subclasses_are_loaded_and_their_bases_are_not(write: Any, load: Load) -> None:
    write("layers.py", "class Base(BaseModule): ...\nclass A(Base): ...\nclass B(Base): ...")
    assert loaded_classes(load("layers")) == ["layers.A", "layers.B"]


def test_imported_classes_are_not_loaded_again(write: Any, load: Load) -> None:
    write("origin.py", "class A(BaseModule): ...")
    write("user.py", "from origin import A\nclass B(A): ...")
    assert loaded_classes(load("user", "origin")) == ["user.B", "origin.A"]


def test_classes_defined_anywhere_in_a_package_are_its_own(write: Any, load: Load) -> None:
    write("package/__init__.py", "from package.inner import Inner")
    write("package/inner.py", "class Inner(BaseModule): ...")
    assert loaded_classes(load("package")) == ["package.Inner"]


def test_module_gets_its_own_part_of_the_configuration_and_registers_in_its_name(
    write: Any, load: Load, registrar: CallbackRegistrar
) -> None:
    text = """
        class Sample(BaseModule):
            def __init__(self, platform_config, module_config, registrar):
                super().__init__(platform_config, module_config, registrar)
                registrar.register_snapshot_init_hook(self.hook)

            def load_config(self, config, module_config):
                self.seen = (config.app_name, module_config)

            def hook(self):
                return []
        """
    for name in ("configured", "empty", "absent"):
        write(f"{name}.py", text)
    modules: list[Any] = [module.instance for module in load("configured", "empty", "absent")]
    assert [module.seen for module in modules] == [("test", {"limit": 5}), ("test", {}), ("test", {})]
    assert [r.module for r in registrar.registrations] == ["configured", "empty", "absent"]
    assert load("absent", tree={})[0].name == "absent"


def test_module_that_never_calls_its_base_has_flag_and_log(
    write: Any, load: Load, registrar: CallbackRegistrar
) -> None:
    write(
        "independent.py",
        """
        class Independent(BaseModule):
            def __init__(self, platform_config, module_config, registrar):
                registrar.register_on_entity_creation_hook(
                    self.hook, "site", refresh=self.refresh, may_change=[["name"]])

            def hook(self, eid, task):
                return []
        """,
    )
    (module,) = load("independent")
    module.instance.refresh.set()
    refresh = registrar.registrations[0].refresh
    assert refresh is not None and refresh.isset()
    assert repr(refresh) == "SharedFlag('Refresh Independent', True)"
    assert module.instance.log.name == "Independent"


def test_siblings_can_be_imported_early_and_late(write: Any, load: Load) -> None:
    write("helper.py", "VALUE = 1")
    write("late.py", "VALUE = 2")
    write(
        "sample.py",
        """
        import helper

        class Sample(BaseModule):
            def values(self):
                import late
                return helper.VALUE, late.VALUE
        """,
    )
    instance: Any = load("sample")[0].instance
    assert instance.values() == (1, 2)


def test_unloading_lets_another_directory_use_the_same_names(
    tmp_path: Path, write: Any, load: Load, registrar: CallbackRegistrar
) -> None:
    write("same.py", "class One(BaseModule): ...")
    assert loaded_classes(load("same")) == ["same.One"]
    unload_modules(tmp_path)
    assert "same" not in sys.modules
    assert str(tmp_path) not in sys.path
    other = tmp_path / "other"
    other.mkdir()
    (other / "same.py").write_text(HEAD + "class Two(BaseModule): ...")
    loaded = load_modules(["same"], other, lambda: None, {}, registrar)  # type: ignore[arg-type, return-value]
    assert loaded_classes(loaded) == ["same.Two"]


def test_name_of_an_already_imported_module_is_refused(write: Any, load: Load) -> None:
    write("textwrap.py", "class A(BaseModule): ...")
    with pytest.raises(ModuleLoadError, match=r"Module 'textwrap' .* already imported from .*; rename it"):
        load("textwrap")


def test_missing_modules_are_named_with_the_nearest_one(tmp_path: Path, write: Any, load: Load) -> None:
    write("sample.py", "class A(BaseModule): ...")
    with pytest.raises(ModuleLoadError) as caught:
        load("sampel", "sample")
    assert str(caught.value).startswith(
        "Some of desired modules are not available (not in modules folder), specifically: {'sampel'} in "
    )
    assert "Did you mean 'sample'?" in str(caught.value)


def test_without_modules_no_directory_is_needed(registrar: CallbackRegistrar, tmp_path: Path) -> None:
    assert load_modules([], tmp_path / "none", lambda: None, {}, registrar) == []  # type: ignore[arg-type, return-value]


def test_unreadable_directory_is_named(registrar: CallbackRegistrar, tmp_path: Path) -> None:
    with pytest.raises(ModuleLoadError, match=r"Cannot read the modules folder .*none: No such file"):
        load_modules(["a"], tmp_path / "none", lambda: None, {}, registrar)  # type: ignore[arg-type, return-value]


def test_repeated_name_is_refused(write: Any, load: Load) -> None:
    write("sample.py", "class A(BaseModule): ...")
    with pytest.raises(ModuleLoadError, match="'sample' is enabled more than once"):
        load("sample", "sample")


def test_module_without_a_class_of_its_own_is_refused(write: Any, load: Load) -> None:
    write("without.py", "class A: ...")
    with pytest.raises(ModuleLoadError, match=r"Module 'without' \(.*without\.py\) defines no class"):
        load("without")


BROKEN = {
    "import": ("import surely_not_there\n", 2, "ModuleNotFoundError: No module named 'surely_not_there'"),
    "syntax": ("x = 1\ndef broken(:\n", 3, "SyntaxError"),
    "exit": ("import sys\nsys.exit(1)\n", 3, "SystemExit: 1"),
    "construction": (
        "class A(BaseModule):\n    def __init__(self, *args):\n        raise ValueError('no limit')\n",
        4,
        "Class A of module 'broken' can not be constructed",
    ),
    "registration": (
        "class A(BaseModule):\n    def __init__(self, config, own, registrar):\n"
        "        registrar.register_snapshot_init_hook(5)\n",
        4,
        "got 5, which is not callable. [module 'broken', snapshot_init hook",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_failure_is_reported_with_module_file_line_and_cause(
    write: Any, load: Load, tmp_path: Path, case: str
) -> None:
    text, line, cause = BROKEN[case]
    path = write("broken.py", text)
    with pytest.raises(ModuleLoadError) as caught:
        load("broken")
    assert (caught.value.module, caught.value.file, caught.value.line) == ("broken", path, line)
    assert "odule 'broken'" in str(caught.value)
    assert f"{path}:{line}: " in str(caught.value)
    assert cause in str(caught.value)
    assert caught.value.__cause__ is not None
    assert "broken" not in sys.modules and str(tmp_path) not in sys.path


def test_failure_in_a_sibling_is_reported_there(write: Any, load: Load) -> None:
    helper = write("helper.py", "1 / 0")
    write("sample.py", "import helper\nclass A(BaseModule): ...")
    with pytest.raises(ModuleLoadError) as caught:
        load("sample")
    assert (caught.value.module, caught.value.file, caught.value.line) == ("sample", helper, 2)


def test_all_modules_that_can_not_be_imported_are_named_at_once(write: Any, load: Load) -> None:
    first = write("first.py", "import surely_not_there")
    write("good.py", "class Good(BaseModule): ...")
    second = write("second.py", "1 / 0")
    with pytest.raises(ModuleLoadError) as caught:
        load("goood", "first", "good", "second")
    message = str(caught.value)
    assert message.startswith("Modules have 3 mistakes:\n")
    assert "'goood'" in message and "Did you mean 'good'?" in message
    assert f"{first}:2: ModuleNotFoundError: No module named 'surely_not_there'" in message
    assert f"{second}:2: ZeroDivisionError: division by zero" in message
    assert "good" not in sys.modules


def test_the_registration_mistakes_of_all_modules_are_named_at_once(write: Any, load: Load) -> None:
    for name in ("first", "second"):
        write(
            f"{name}.py",
            """
            class A(BaseModule):
                def __init__(self, config, own, registrar):
                    registrar.register_on_entity_creation_hook(print, "sitte")
            """,
        )
    with pytest.raises(ModuleLoadError) as caught:
        load("first", "second")
    message = str(caught.value)
    assert "Class A of module 'first' can not be constructed" in message
    assert "Class A of module 'second' can not be constructed" in message
    assert message.count("Did you mean 'site'?") == 2
