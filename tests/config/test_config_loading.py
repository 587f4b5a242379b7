"""A folder that is right."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from config_folders import DEVICE, Folder

from dp3.clock import FakeClock, to_us
from dp3.config.hierarchy import HierarchicalDict
from dp3.config.kinds import CronExpression
from dp3.config.loading import ConfigurationError, load, load_module_config
from dp3.model.spec import ModelSpec

MIB = 1 << 20

REFERENCE = {
    "api.yml": "cors: {allow_origins: [http://a]}\ndatapoint_logger: {good_log: false, bad_log: false}\n",
    "control.yml": "allowed_actions: [make_snapshots]\n",
    "database.yml": """\
        connection: {mode: standalone, host: {address: 127.0.0.1, port: 27017}}
        db_name: app
        username: app
        password: app
        """,
    "event_logging.yml": """\
        redis: {host: localhost, port: 6379, db: 1}
        groups:
          te: {events: [], intervals: [5m, 2h], auto_declare_events: true, sync_interval: 1}
        """,
    "garbage_collector.yml": "collection_rate: {minute: '5,25,45'}\n",
    "history_manager.yml": """\
        aggregation_schedule: {minute: "*/10"}
        datapoint_cleaning_schedule: {minute: "*/30"}
        snapshot_cleaning: {schedule: {minute: "15,45"}, older_than: 7d}
        datapoint_archivation: {schedule: {hour: 2, minute: 0}, older_than: 7d, archive_dir: data/datapoints/}
        """,
    "processing_core.yml": """\
        msg_broker: {host: localhost, port: 5672, virtual_host: /, username: app, password: app}
        worker_processes: 1
        worker_threads: 16
        max_inline_generated_tasks: 0
        modules_dir: ../modules
        enabled_modules: [test_module]
        """,
    "snapshots.yml": "creation_rate: {minute: '*/30'}\nkeep_empty: true\n",
    "telemetry.yml": "attribute_bson_size_schedule: {hour: 3, minute: 15}\n",
    "updater.yml": "update_batch_cron: {minute: '*/5'}\nupdate_batch_period: 5m\n",
    "modules/test_module.yml": "msg: Hello\n",
}


@pytest.fixture
def reference(app: Folder) -> Path:
    """A whole folder as applications of the reference implementation have it."""
    Path("modules").mkdir()
    Path("modules/test_module.py").write_text("")
    return app(REFERENCE)


def test_entities_alone_are_a_configuration_with_documented_defaults(app: Folder) -> None:
    config = load(app({}))
    assert config.processing_core.worker_processes == 1
    assert config.processing_core.enabled_modules == ()
    assert config.processing_core.batch_time_limit == timedelta(milliseconds=250)
    assert config.processing_core.log.max_backlog == 4096 * MIB
    assert config.processing_core.log.segment_age == timedelta(days=1)
    assert config.snapshots.creation_rate == CronExpression(minute="*/30")
    assert config.snapshots.keep_empty
    assert config.history_manager.snapshot_cleaning.older_than == timedelta(days=7)
    assert config.history_manager.datapoint_archivation.archive_dir is None
    assert config.garbage_collector.collection_rate == CronExpression(hour=3, minute=0)
    assert config.updater.update_batch_period == timedelta(minutes=5)
    assert len(config.control.allowed_actions) == 3
    assert sorted(config.event_logging.groups) == ["secondary_hooks", "tasks_by_src", "te"]
    assert config.telemetry.attribute_bson_size_schedule == CronExpression(hour=3, minute=15)
    assert config.api.cors.allow_origins == config.api.allowed_hosts == ()
    assert (config.api.max_body, config.api.max_concurrent_body) == (16 * MIB, 256 * MIB)
    assert (config.api.timestamps, load(app({"api.yml": "timestamps: naive"})).api.timestamps) == (
        "utc",
        "naive",
    )
    assert config.database.url is None
    assert config.notes == ()


def test_path_is_absolute_and_model_holds_the_entities(app: Folder) -> None:
    config = load(app({}))
    assert config.path == Path("config").absolute()
    assert isinstance(config.model, ModelSpec)
    assert list(config.model.entities) == ["device"]


def test_entities_are_in_the_order_of_their_names(app: Folder) -> None:
    others = {f"db_entities/{name}.yml": DEVICE.replace("device", name) for name in ("zebra", "ant")}
    assert list(load(app(others)).model.entities) == ["ant", "device", "zebra"]


def test_entity_without_attributes_may_leave_the_value_empty(app: Folder) -> None:
    config = load(app({"db_entities/device.yml": DEVICE.split("  load:")[0]}))
    assert config.model.entity_attributes["device"] == {}


def test_tree_holds_every_file_as_written(app: Folder) -> None:
    config = load(app({"modules/a.yml": "x: {y: 1}", "own.yml": "z: 2"}))
    assert config.tree.get("modules.a.x.y") == 1
    assert config.tree.get("own.z") == 2
    assert config.tree.get("db_entities.device.attribs.load.data_type") == "int"
    assert isinstance(config.tree["modules"]["a"], HierarchicalDict)


def test_configuration_of_the_reference_is_accepted(reference: Path) -> None:
    config = load(reference)
    assert config.processing_core.worker_threads == 16
    assert config.history_manager.datapoint_archivation.archive_dir == Path("data/datapoints")
    assert config.control.allowed_actions == ("make_snapshots",)
    assert config.event_logging.groups["te"].intervals == (timedelta(minutes=5), timedelta(hours=2))
    assert config.api.datapoint_logger.good_log is None


def test_settings_without_meaning_are_noted_once_together(reference: Path) -> None:
    (note,) = load(reference).notes
    assert note == (
        "accepted, but without meaning here: processing_core.msg_broker, "
        "processing_core.max_inline_generated_tasks, database.connection, database.db_name, "
        "database.username, database.password, event_logging.redis, event_logging.groups.te.sync_interval"
    )


@pytest.mark.parametrize(
    ("file", "text", "note"),
    [
        ("snapshots", "keep_emtpy: true", "1: keep_emtpy: unknown key, ignored; did you mean 'keep_empty'?"),
        ("garbage_collector", "\nx: 1", "2: x: unknown key, ignored"),
        ("processing_core", "worker_proceses: 2", "1: worker_proceses: unknown key, ignored; did you mean"),
        ("history_manager", "snapshot_cleaning: {x: 1}", "1: snapshot_cleaning.x: unknown key, ignored"),
        (
            "event_logging",
            "groups:\n  te: {evnets: []}",
            "2: groups.te.evnets: unknown key, ignored; did you mean",
        ),
        ("api", "corss: {}", "1: corss: unknown key, ignored; did you mean 'cors'?"),
    ],
)
def test_unknown_key_where_it_used_to_be_ignored_is_noted(
    app: Folder, file: str, text: str, note: str
) -> None:
    (only,) = load(app({f"{file}.yml": text})).notes
    assert only.startswith(f"config/{file}.yml:{note}")


def test_unknown_history_parameter_is_noted(app: Folder) -> None:
    text = f"{DEVICE}    history_params: {{max_agee: 1d}}\n"
    (only,) = load(app({"db_entities/device.yml": text})).notes
    assert only.startswith("config/db_entities/device.yml:10: attribs.load.history_params.max_agee: ")
    assert "did you mean 'max_age'?" in only


def test_unknown_timeseries_parameter_is_noted(app: Folder) -> None:
    series = """\
  flow:
    name: flow
    type: timeseries
    timeseries_type: regular
    timeseries_params: {time_step: 10m, max_agee: 1d}
    series: {bytes: {data_type: int}}
"""
    (only,) = load(app({"db_entities/device.yml": DEVICE + series})).notes
    assert only.startswith("config/db_entities/device.yml:14: attribs.flow.timeseries_params.max_agee: ")


def test_unknown_key_of_a_series_is_noted(app: Folder) -> None:
    series = """\
  flow:
    name: flow
    type: timeseries
    timeseries_type: irregular
    series: {bytes: {data_type: int, unit: B, data_typ: float}}
"""
    notes = load(app({"db_entities/device.yml": DEVICE + series})).notes
    place = "config/db_entities/device.yml:14: attribs.flow.series.bytes"
    assert notes == (
        f"{place}.unit: Unknown key 'unit'",
        f"{place}.data_typ: Unknown key 'data_typ'; did you mean 'data_type'?",
    )


def test_file_with_nearly_the_name_of_a_section_is_noted(app: Folder) -> None:
    (note,) = load(app({"snapshot.yml": "keep_empty: false"})).notes
    assert note == "config/snapshot.yml:1: the platform does not read this; did you mean 'snapshots'?"


def test_file_of_the_application_itself_is_not_noted(app: Folder) -> None:
    assert load(app({"my_thresholds.yml": "x: 1"})).notes == ()


@pytest.mark.parametrize("file", ["modules/a.yml", "modules/a/b.yml", "my_thresholds.yml"])
def test_numbers_that_are_not_what_they_look_like_are_only_noted_where_modules_read_them(
    app: Folder, file: str
) -> None:
    config = load(app({file: "x: 1\nsince: 1:30\nmode: 0644"}))
    assert [note.split(" is ")[0] for note in config.notes] == [
        f"config/{file}:2: 1:30",
        f"config/{file}:3: 0644",
    ]
    assert (config.tree.get(file.removesuffix(".yml").replace("/", ".")))["since"] == 90


def test_a_module_gets_such_numbers_anew_without_a_mistake(app: Folder) -> None:
    assert load_module_config(app({"modules/a.yml": "since: 1:30"}), "a") == {"since": 90}


NEVER_FIRING = [
    ({"month": 2, "day": 31}, "month 2, day 31"),
    ({"year": 2020}, "year 2020"),
    ({"month": "4,6", "day": 31, "hour": "*"}, "month 4,6, day 31, hour *"),
    ({"year": 2027, "month": 2, "day": 29}, "year 2027, month 2, day 29"),
]


@pytest.mark.parametrize(("fields", "shown"), NEVER_FIRING)
def test_a_schedule_that_never_fires_is_noted(app: Folder, fields: dict[str, Any], shown: str) -> None:
    (note,) = load(app({"snapshots.yml": f"creation_rate: {json.dumps(fields)}"})).notes
    assert note == f"config/snapshots.yml:1: creation_rate: this schedule never fires: no moment has {shown}"


def test_the_schedule_of_a_group_has_its_line_in_the_note(app: Folder) -> None:
    text = "datapoint_archivation:\n  older_than: 7d\n  schedule: {year: 2020}"
    (note,) = load(app({"history_manager.yml": text})).notes
    assert note.startswith(
        "config/history_manager.yml:3: datapoint_archivation.schedule: this schedule never"
    )


@pytest.mark.parametrize(
    "text",
    [
        "{month: 2, day: 29}",
        "{year: 2020-2999}",
        "{day: 31}",
        "{week: 53}",
        "{month: 12, week: 1}",
        "{year: 9999}",
    ],
)
def test_a_schedule_that_fires_rarely_is_not_noted(app: Folder, text: str) -> None:
    assert load(app({"snapshots.yml": f"creation_rate: {text}"})).notes == ()


def test_a_schedule_that_is_not_used_is_not_said_to_never_fire(app: Folder) -> None:
    (note,) = load(app({"history_manager.yml": "mark_datapoints_schedule: {year: 2020}"})).notes
    assert note.startswith("accepted, but without meaning here: ")


def test_a_year_that_is_over_is_over_by_the_clock(app: Folder) -> None:
    path = app({"snapshots.yml": "creation_rate: {year: 2020}"})
    assert load(path, FakeClock(to_us(datetime(2020, 12, 31, 23, tzinfo=UTC)))).notes != ()
    assert load(path, FakeClock(to_us(datetime(2019, 12, 31, 23, tzinfo=UTC)))).notes == ()


def test_file_with_the_wrong_suffix_is_noted(app: Folder) -> None:
    (note,) = load(app({"updater.yaml": "x: 1"})).notes
    assert note == "config/updater.yaml: not read; rename it to updater.yml"


def test_empty_section_file_gives_the_defaults(app: Folder) -> None:
    config = load(app({"snapshots.yml": "# creation_rate: {hour: 1}\n"}))
    assert config.snapshots.creation_rate == CronExpression(minute="*/30")
    assert config.notes == ()


def test_empty_entity_file_is_noted(app: Folder) -> None:
    (note,) = load(app({"db_entities/ip.yml": "# later\n"})).notes
    assert note == "config/db_entities/ip.yml:1: empty, defines no entity type"


@pytest.mark.parametrize("key", ["cors", "datapoint_logger"])
def test_empty_group_of_api_settings_gives_the_defaults(app: Folder, key: str) -> None:
    assert load(app({"api.yml": f"{key}:\n"})).api == load(app({"api.yml": "{}"})).api


def test_origins_and_host_names_are_written_as_browsers_send_them(app: Folder) -> None:
    origins = "['*', 'HTTPS://Pages.Example:443/', 'http://[::1]:3000', 'http://x:80', 'app-1://x']"
    hosts = "['*', 'DP3.Example.', '*.Example', 'my_host', '10.0.0.1']"
    api = load(app({"api.yml": f"cors: {{allow_origins: {origins}}}\nallowed_hosts: {hosts}\n"})).api
    assert api.cors.allow_origins == (
        "*",
        "https://pages.example",
        "http://[::1]:3000",
        "http://x",
        "app-1://x",
    )
    assert api.allowed_hosts == ("*", "dp3.example", "*.example", "my_host", "10.0.0.1")


def test_sizes_are_bytes_or_text_with_a_unit(app: Folder) -> None:
    config = load(app({"api.yml": "max_body: 1GB\nmax_concurrent_body: 1048576\n"}))
    assert (config.api.max_body, config.api.max_concurrent_body) == (10**9, MIB)


def test_relative_modules_folder_starts_at_the_configuration(app: Folder) -> None:
    path = app({"processing_core.yml": "modules_dir: ../plugins\nenabled_modules: [a, pack]\n"})
    Path("plugins/pack").mkdir(parents=True)
    Path("plugins/pack/__init__.py").write_text("")
    Path("plugins/a.py").write_text("")
    assert load(path).processing_core.modules_dir == Path("plugins").resolve()


def test_modules_folder_is_not_needed_without_modules(app: Folder) -> None:
    assert load(app({"processing_core.yml": "modules_dir: nowhere\nenabled_modules: []\n"})).processing_core


def test_datapoint_logs_are_paths_from_the_working_directory(app: Folder) -> None:
    config = load(app({"api.yml": "datapoint_logger: {good_log: good.log}"}))
    assert config.api.datapoint_logger.good_log == Path("good.log")


def test_configuration_of_one_module_is_read_anew(app: Folder) -> None:
    path = app({"modules/a.yml": "x: 1"})
    assert load_module_config(path, "a") == {"x": 1}
    app({"modules/a.yml": "x: 2"})
    assert load_module_config(path, "a") == {"x": 2}


def test_module_without_configuration_gets_an_empty_one(app: Folder) -> None:
    assert load_module_config(app({}), "a") == {}
    assert load_module_config(app({"modules/a.yml": "# nothing\n", "modules/b.yml": "x: 1"}), "a") == {}


def test_dot_in_the_name_of_a_module_does_not_descend(app: Folder) -> None:
    assert load_module_config(app({"modules/a.yml": "x: {y: 1}"}), "a.x") == {}


def test_broken_configuration_of_a_module_names_file_and_line(app: Folder) -> None:
    path = app({"modules/a.yml": "x: 1\nx: 2\n", "modules/b.yml": "y: 1"})
    with pytest.raises(ConfigurationError, match=r"^config/modules/a\.yml:2: key 'x' stands twice"):
        load_module_config(path, "a")
    assert load_module_config(path, "b") == {"y": 1}


@pytest.mark.parametrize("name", ["../database", "/etc/passwd", "a/b", "", ".", "..", ".hidden"])
def test_name_that_leads_out_of_the_folder_is_refused(app: Folder, name: str) -> None:
    with pytest.raises(ValueError, match="expected the name of a module"):
        load_module_config(app({"modules/a.yml": "x: 1"}), name)
