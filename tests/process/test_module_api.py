"""The examples of the module documentation, written as a third party would, run by the real program.

All modules run in one program; every test asks for what one of them must have done.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kit.program import FINDINGS, App, application, wait_for
from kit.specs import a_type, each_point, plain_attr

MODEL = {
    "test_entity_type": a_type(
        "test_entity_type",
        {
            "test_attr_type": plain_attr("int"),
            "derived_on_creation": plain_attr("string"),
            "configured": plain_attr("string"),
            "copy": plain_attr("int"),
            "deprecated": plain_attr("string"),
            "no_super": plain_attr("string"),
            "package": plain_attr("string"),
            "o": each_point(),
        },
    ),
    "refusing": a_type("refusing", {"p": plain_attr("int")}),
    "mac": a_type("mac", {"derived_on_creation": plain_attr("string")}),
}

IMPORTS = """\
from dp3.common.base_module import BaseModule
from dp3.common.callback_registrar import CallbackRegistrar
from dp3.common.config import PlatformConfig
from dp3.common.datapoint import DataPointBase
from dp3.common.task import DataPointTask
"""

SKELETON = (
    IMPORTS
    + """
class MyAwesomeModule(BaseModule):
    def __init__(self,
        platform_config: PlatformConfig,
        module_config: dict,
        registrar: CallbackRegistrar
    ):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_on_entity_creation_hook(
            self.processing_function,
            "test_entity_type",
            refresh=self.refresh,
            may_change=[["derived_on_creation"]]
        )
        registrar.register_on_entity_creation_hook(self.configured, "test_entity_type")
        self.log.info("%s %s", platform_config.process_index, platform_config.num_processes)

    def load_config(self, config: PlatformConfig, module_config: dict) -> None:
        self.greeting = module_config["greeting"]

    def configured(self, eid, task):
        return [DataPointTask(model_spec=task.model_spec, etype="test_entity_type", eid=eid, data_points=[
            {"etype": "test_entity_type", "eid": eid, "attr": "configured", "v": self.greeting}])]

    def processing_function(
            self,
            eid: str,
            task: DataPointTask
    ) -> list[DataPointTask]:
        output = eid.upper()
        return [DataPointTask(
            model_spec=task.model_spec,
            etype="test_entity_type",
            eid=eid,
            data_points=[{
                "etype": "test_entity_type",
                "eid": eid,
                "attr": "derived_on_creation",
                "src": "secondary/derived_on_creation",
                "v": output
            }]
        )]
"""
)

HOOKS = (
    IMPORTS
    + """
from findings import found

def task_hook(task: DataPointTask):
    found("task_hook", task.etype)
    return "ignored"

def entity_creation(
        eid: str,
        task: DataPointTask,
) -> bool:
    return eid.startswith("1")

class Hooks(BaseModule):
    def __init__(self, *args):
        super().__init__(*args)
        registrar = args[2]
        registrar.register_task_hook("on_task_start", task_hook)
        registrar.register_allow_entity_creation_hook(
            entity_creation, "refusing"
        )
        registrar.register_on_new_attr_hook(
            self.attr_hook,
            "test_entity_type",
            "test_attr_type",
            refresh=self.refresh,
            may_change=[]
        )

    def attr_hook(
            self,
            eid: str,
            dp: DataPointBase,
    ) -> list[DataPointTask]:
        found("attr_hook", eid, dp.attr, dp.v)
        return [DataPointTask(etype="test_entity_type", eid=eid, data_points=[
            {"etype": "test_entity_type", "eid": eid, "attr": "copy", "v": dp.v}])]
"""
)

SCHEDULED = (
    IMPORTS
    + """
from findings import found

class Scheduled(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.scheduler_register(self.delete_old_dps, minute="*/10")
        registrar.scheduler_register(self.archive_old_dps, minute=0, hour=2)
        registrar.scheduler_register(self.beat, second="*")
        registrar.scheduler_register(self.tick, func_args=["tick"], func_kwargs={"end": "!"}, second="*")

    def delete_old_dps(self):
        pass

    def archive_old_dps(self):
        pass

    def beat(self):
        found("beat", "beat")
        return ["ignored"]

    def tick(self, text, end):
        task = DataPointTask(etype="mac", eid="m", delete=True)
        found("tick", text + end + task.eid)
        return "ignored"
"""
)

DEPRECATED = (
    IMPORTS
    + """
class Deprecated(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_entity_hook("on_entity_creation", self.creation, "test_entity_type")
        registrar.register_attr_hook("on_new_plain", self.plain, "test_entity_type", "deprecated")

    def creation(self, eid, task):
        return [DataPointTask(etype="test_entity_type", eid=eid, data_points=[
            {"etype": "test_entity_type", "eid": eid, "attr": "deprecated", "v": "created"}])]

    def plain(self, eid, dp):
        if dp.v == "created":
            return [DataPointTask(etype="test_entity_type", eid=eid, data_points=[
                {"etype": "test_entity_type", "eid": eid, "attr": "deprecated", "v": "called"}])]
"""
)

THREADED = (
    IMPORTS
    + """
import logging
import threading
import time

from findings import found

class MyModule(BaseModule):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._thread = None
        self._stop_event = threading.Event()
        self.log = logging.getLogger("MyModule")

    def start(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        self._stop_event.set()
        self._thread.join()
        found("stop", "stopped")

    def _run(self):
        while not self._stop_event.is_set():
            self.log.info("Hello world!")
            time.sleep(0.1)
"""
)

NO_SUPER = (
    IMPORTS
    + """
class NoSuper(BaseModule):
    def __init__(self, _platform_config, _module_config, registrar):
        registrar.register_on_entity_creation_hook(
            self.creation, "test_entity_type", refresh=self.refresh, may_change=[["no_super"]]
        )

    def creation(self, eid, task):
        self.log.info("creation of %s", eid)
        return [DataPointTask(etype="test_entity_type", eid=eid, data_points=[
            {"etype": "test_entity_type", "eid": eid, "attr": "no_super", "v": "here"}])]
"""
)

PACKAGE = """\
from dp3.common.base_module import BaseModule

from .answers import answer

class Packaged(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_on_entity_creation_hook(answer, "test_entity_type")
"""

ANSWERS = (
    IMPORTS
    + """
def answer(eid, task):
    return [DataPointTask(model_spec=task.model_spec, etype="test_entity_type", eid=eid, data_points=[
        {"etype": "test_entity_type", "eid": eid, "attr": "package", "v": "from a package"}])]
"""
)

ABOUT = (
    IMPORTS
    + """
import json

from findings import found

class About(BaseModule):
    def __init__(self, platform_config: PlatformConfig, module_config: dict, registrar: CallbackRegistrar):
        super().__init__(platform_config, module_config, registrar)
        found("life", "about constructed")
        found("about", json.dumps({
            "application": platform_config.app_name,
            "worker": [platform_config.process_index, platform_config.num_processes],
            "entities": sorted(platform_config.model_spec.entities),
            "attribute": platform_config.model_spec.attr("test_entity_type", "test_attr_type").data_type.root,
            "setting": platform_config.config.get("modules.my_awesome_module.greeting"),
            "module_config": module_config,
            "refresh": str(self.refresh),
            "log": self.log.name,
        }))

    def start(self):
        found("life", "about started")

    def stop(self):
        found("life", "about stopped")

class Later(BaseModule):
    def __init__(self, *args):
        super().__init__(*args)
        found("life", "later constructed")

    def start(self):
        found("life", "later started")

    def stop(self):
        found("life", "later stopped")
        self.log.info("Goodbye!")
"""
)

NOT_A_MODULE = """
class NeverConstructed:
    def __init__(self, *args):
        raise AssertionError("this class does not derive from BaseModule")
"""

MODULES = {
    "my_awesome_module": SKELETON + NOT_A_MODULE,
    "hooks": HOOKS,
    "scheduled": SCHEDULED,
    "deprecated": DEPRECATED,
    "threaded": THREADED,
    "no_super": NO_SUPER,
    "about": ABOUT,
    "packaged/__init__": PACKAGE,
    "packaged/answers": ANSWERS,
    "./findings": FINDINGS,
}
ENABLED = [*(name for name in MODULES if "/" not in name), "packaged"]


def sent(etype: str, eid: str, attr: str, v: Any) -> dict[str, Any]:
    return {"type": etype, "id": eid, "attr": attr, "v": v}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """A program with all the modules, after it has processed what the tests look at."""
    with application(tmp_path_factory.mktemp("modules")) as app, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINDINGS", str(app.root))
        app.write(
            MODULES,
            core={"enabled_modules": ENABLED},
            model=MODEL,
            files={"modules/my_awesome_module.yml": {"greeting": "hello"}},
        )
        app.program = app.run_ready()
        app.client.send(
            [
                sent("test_entity_type", "e", "test_attr_type", 5),
                sent("test_entity_type", "e", "test_attr_type", 5),
                sent("refusing", "1", "p", 1),
                sent("refusing", "2", "p", 2),
            ]
        )
        app.client.send([sent("test_entity_type", "e", "test_attr_type", 5)])
        app.wait_idle()
        yield app


@pytest.mark.parametrize(
    ("attr", "value"),
    [
        pytest.param("derived_on_creation", "E", id="creation hook with refresh and may_change"),
        pytest.param("configured", "hello", id="load_config with config/modules/NAME.yml"),
        pytest.param("copy", 5, id="attribute hook with a task without model_spec"),
        pytest.param("deprecated", "called", id="deprecated registrations"),
        pytest.param("no_super", "here", id="module that does not call super().__init__()"),
        pytest.param("package", "from a package", id="package with a relative import"),
    ],
)
def test_an_example_derives_its_value(running, attr, value):
    answer = running.client.get(f"/entity/test_entity_type/e/get/{attr}")
    assert answer["current_value"] == value


def test_the_task_hook_sees_every_task(running):
    seen = running.findings("task_hook")
    assert sorted(set(seen)) == ["refusing", "test_entity_type"]
    assert seen.count("refusing") == 2


def test_the_allow_hook_decides_which_entities_are_created(running):
    assert running.client.get("/entity/refusing/1/master")["p"]["v"] == 1
    assert running.client.get("/entity/refusing/2/master") == {}


def test_the_attribute_hook_sees_every_datapoint_also_one_that_changes_nothing(running):
    assert running.findings("attr_hook") == ["e test_attr_type 5"] * 3


def test_a_module_knows_the_platform_and_itself(running):
    [about] = running.findings("about")
    assert json.loads(about) == {
        "application": running.root.name,
        "worker": [0, 1],
        "entities": ["mac", "refusing", "test_entity_type"],
        "attribute": "int",
        "setting": "hello",
        "module_config": {},
        "refresh": "False",
        "log": "About",
    }


def test_a_scheduled_function_is_called_without_arguments_by_default(running):
    wait_for("beat", lambda: "beat" in running.findings("beat"))


def test_a_scheduled_function_is_called_with_its_arguments_and_may_build_tasks(running):
    wait_for("tick", lambda: "tick!m" in running.findings("tick"))


def test_no_example_leaves_a_dead_letter(running):
    assert running.dead_letters() == []


def test_a_module_is_started_when_all_are_constructed_and_runs_its_own_thread_until_the_platform_stops(
    running,
):
    begun = ["about constructed", "later constructed", "about started", "later started"]
    assert running.findings("life") == begun
    wait_for("greeting", lambda: "MyModule,[INFO] Hello world!" in running.program.output)
    assert running.findings("stop") == []
    running.stop(running.program)
    assert running.findings("stop") == ["stopped"]
    assert running.findings("life") == [*begun, "later stopped", "about stopped"]
    assert running.program.output.index("Goodbye!") < running.program.output.index("worker 0 stopped")
