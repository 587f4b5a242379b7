"""The examples of the module documentation, as a third party would write them."""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.triggers.cron import CronTrigger

from dp3.common.base_module import BaseModule
from dp3.common.callback_registrar import CallbackRegistrar
from dp3.common.config import ModelSpec, PlatformConfig
from dp3.common.datapoint import DataPointBase
from dp3.common.state import SharedFlag
from dp3.common.task import DataPointTask
from dp3.hooks.guard import Guard
from dp3.hooks.registration import HookRegistration
from dp3.hooks.table import HookTable
from dp3.hooks.watch import HookWatch


@pytest.fixture
def platform_config(model: ModelSpec, tmp_path: Any) -> PlatformConfig:
    return PlatformConfig(
        app_name="app",
        config_base_path=tmp_path,
        config={},
        model_spec=model,
        num_processes=1,
        process_index=0,
    )


class MyAwesomeModule(BaseModule):
    def __init__(self, platform_config: PlatformConfig, module_config: dict, registrar: CallbackRegistrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_on_entity_creation_hook(
            self.processing_function,
            "test_entity_type",
            refresh=self.refresh,
            may_change=[["derived_on_creation"]],
        )

    def load_config(self, config: PlatformConfig, module_config: dict) -> None:
        self.prefix = module_config.get("prefix", "")

    def processing_function(self, eid: str, task: DataPointTask) -> list[DataPointTask]:
        return [
            DataPointTask(
                model_spec=task.model_spec,
                etype="test_entity_type",
                eid=eid,
                data_points=[
                    {
                        "etype": "test_entity_type",
                        "eid": eid,
                        "attr": "derived_on_creation",
                        "src": "secondary/derived_on_creation",
                        "v": self.prefix + eid,
                    }
                ],
            )
        ]


def test_module_skeleton(
    platform_config: PlatformConfig, registrar: CallbackRegistrar, model: ModelSpec
) -> None:
    module = MyAwesomeModule(platform_config, {"prefix": "x-"}, registrar)
    assert isinstance(module.refresh, SharedFlag) and not module.refresh.isset()
    assert repr(module.refresh) == "SharedFlag('Refresh MyAwesomeModule', False)"
    assert isinstance(module.log, logging.Logger) and module.log.name == "MyAwesomeModule"
    (hook,) = HookTable(registrar.registrations)["on_entity_creation"]["test_entity_type"]
    trigger = DataPointTask(model_spec=model, etype="test_entity_type", eid="e", delete=True)
    outcome = Guard(HookWatch()).run(hook, ("test_entity_type", "e"), "e", trigger)
    assert outcome.error is None
    assert [dp.v for dp in outcome.tasks[0].data_points] == ["x-e"]


def test_configuration_can_be_loaded_again(
    platform_config: PlatformConfig, registrar: CallbackRegistrar
) -> None:
    module = MyAwesomeModule(platform_config, {}, registrar)
    module.load_config(platform_config, {"prefix": "y-"})
    module.refresh.set()
    assert module.prefix == "y-"
    refresh = registrar.registrations[0].refresh
    assert refresh is not None and refresh.isset()


def test_scheduler_examples(registrar: CallbackRegistrar) -> None:
    class HistoryManager:
        def delete_old_dps(self) -> None: ...

        def archive_old_dps(self) -> None: ...

    manager = HistoryManager()
    assert registrar.scheduler_register(manager.delete_old_dps, minute="*/10") == 1
    assert registrar.scheduler_register(manager.archive_old_dps, minute=0, hour=2) == 2
    often, daily = registrar.registrations
    assert fires(often, "2026-01-31T23:41:07Z", 3) == [
        "2026-01-31 23:50:00",
        "2026-02-01 00:00:00",
        "2026-02-01 00:10:00",
    ]
    assert fires(daily, "2026-01-31T02:00:01Z", 2) == ["2026-02-01 02:00:00", "2026-02-02 02:00:00"]


def fires(registration: HookRegistration, after: str, number: int) -> list[str]:
    """The next times of a schedule, in UTC."""
    trigger = CronTrigger(**registration.extra["schedule"])
    now, times = datetime.fromisoformat(after), []
    for _ in range(number):
        now = trigger.get_next_fire_time(None, now)
        times.append(f"{now.astimezone(UTC):%F %T}")
        now += timedelta(seconds=1)
    return times


def test_task_hook_example(
    registrar: CallbackRegistrar, model: ModelSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    def task_hook(task: DataPointTask):
        print(task.etype)  # noqa: T201

    registrar.register_task_hook("on_task_start", task_hook)
    (hook,) = HookTable(registrar.registrations)["task"][()]
    task = DataPointTask(model_spec=model, etype="site", eid=1, delete=True)
    assert Guard(HookWatch()).run(hook, ("site", 1), task).error is None
    assert capsys.readouterr().out == "site\n"


def test_allow_entity_creation_example(registrar: CallbackRegistrar, model: ModelSpec) -> None:
    def entity_creation(eid: str, task: DataPointTask) -> bool:
        return eid.startswith("1")

    registrar.register_allow_entity_creation_hook(entity_creation, "test_entity_type")
    (hook,) = HookTable(registrar.registrations)["allow_entity_creation"]["test_entity_type"]
    guard = Guard(HookWatch())
    assert [guard.run(hook, ("test_entity_type", e), e, None).allowed for e in ("1x", "2x")] == [
        True,
        False,
    ]


def test_attribute_hook_examples(registrar: CallbackRegistrar) -> None:
    def attr_hook(eid: str, dp: DataPointBase) -> list[DataPointTask]: ...

    def refreshed_attr_hook(eid: str, dp: DataPointBase) -> list[DataPointTask]: ...

    registrar.register_on_new_attr_hook(attr_hook, "test_entity_type", "test_attr_type")
    registrar.register_on_new_attr_hook(
        refreshed_attr_hook, "test_entity_type", "test_attr_type", refresh=SharedFlag(), may_change=[]
    )
    assert len(HookTable(registrar.registrations)["on_new_attr"]["test_entity_type", "test_attr_type"]) == 2


def test_timeseries_example(registrar: CallbackRegistrar) -> None:
    def timeseries_hook(entity_type: str, attr_type: str, attr_history: list[dict]) -> list[DataPointTask]:
        return []

    registrar.register_timeseries_hook(timeseries_hook, "test_entity_type", "series")
    assert registrar.registrations[0].kind == "timeseries"


def test_correlation_examples(registrar: CallbackRegistrar) -> None:
    def correlation_hook(entity_type: str, values: dict): ...

    registrar.register_correlation_hook(
        correlation_hook, "test_entity_type", [["test_attr_type1"]], [["test_attr_type2"]]
    )
    registrar.register_correlation_hook(
        correlation_hook, "test_entity_type", [["test_attr_link", "name"]], [["test_attr_type2"]]
    )
    with pytest.raises(ValueError, match="circular dependency"):
        registrar.register_correlation_hook(
            correlation_hook, "test_entity_type", [["test_attr_type2"]], [["test_attr_type1"]]
        )
    with pytest.raises(ValueError, match="Invalid path"):
        registrar.register_correlation_hook(correlation_hook, "test_entity_type", [["nothing"]], [])
    assert len(registrar.registrations) == 2


def test_snapshot_init_and_finalize_examples(registrar: CallbackRegistrar) -> None:
    def snapshot_init_hook() -> list[DataPointTask]:
        return []

    registrar.register_snapshot_init_hook(snapshot_init_hook)
    registrar.register_snapshot_finalize_hook(snapshot_init_hook)
    assert [r.kind for r in registrar.registrations] == ["snapshot_init", "snapshot_finalize"]


def test_periodic_update_examples(registrar: CallbackRegistrar) -> None:
    def periodic_update_hook(entity_type: str, eid: str, record: dict) -> list[DataPointTask]:
        return []

    def periodic_eid_update_hook(entity_type: str, eid: str) -> list[DataPointTask]:
        return []

    registrar.register_periodic_update_hook(periodic_update_hook, "test_id", "test_entity_type", "1d")
    registrar.register_periodic_eid_update_hook(periodic_eid_update_hook, "test_id", "test_entity_type", "1d")
    assert [r.hook_id for r in registrar.registrations] == ["test_id", "test_id"]


def test_module_with_its_own_thread(platform_config: PlatformConfig, registrar: CallbackRegistrar) -> None:
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

        def _run(self):
            while not self._stop_event.is_set():
                self.log.info("Hello world!")
                time.sleep(0.001)

    module = MyModule(platform_config, {}, registrar)
    module.start()
    module.stop()
    assert not module._thread.is_alive()
    assert module.log.name == "MyModule"
