"""What a user reads who made a mistake: file, line, expected, got, nearest name; all mistakes at once."""

import os
import sys
from pathlib import Path

import pytest
from config_folders import DEVICE, Folder

from dp3.config.loading import ConfigurationError, load


def mistakes(path: Path) -> list[str]:
    """The lines of the error that loading the folder ends with."""
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    return str(caught.value).splitlines()


def only_mistake(path: Path) -> str:
    (line,) = mistakes(path)
    return line


def attribute(line: str) -> str:
    """An entity file whose attribute `load` has the given line as its last, line 10."""
    return DEVICE.replace("    data_type: int\n", f"    data_type: int\n    {line}\n")


def test_missing_folder(folder: Folder) -> None:
    folder({})
    assert only_mistake(Path("nowhere")) == "nowhere: Cannot open: nowhere: No such file or directory"


def test_file_in_place_of_the_folder(folder: Folder) -> None:
    folder({})
    Path("config").write_text("")
    assert only_mistake(Path("config")) == "config: Cannot open: config: Not a directory"


def test_missing_entities(folder: Folder) -> None:
    assert only_mistake(folder({"api.yml": "{}"})) == (
        "config/db_entities: is missing; "
        "expected one file per entity type, for example db_entities/device.yml"
    )


def test_empty_folder_of_entities(folder: Folder) -> None:
    path = folder({"db_entities/readme.txt": ""})
    assert only_mistake(path).startswith("config/db_entities: defines no entity type; expected one file per")


def test_broken_yaml(app: Folder) -> None:
    path = app({"updater.yml": "cache_max_entries: 5\nupdate_batch_cron: {minute: 5\n"})
    assert only_mistake(path).startswith("config/updater.yml:2: not valid YAML: while parsing a flow mapping")


def test_broken_entity_does_not_make_links_to_it_wrong(app: Folder) -> None:
    broken = "entity: {id: ip\n"
    path = app({"db_entities/device.yml": DEVICE.replace("int", "link<ip>"), "db_entities/ip.yml": broken})
    assert only_mistake(path).startswith("config/db_entities/ip.yml:1: not valid YAML")


def test_duplicate_key(app: Folder) -> None:
    path = app({"snapshots.yml": "keep_empty: true\ncreation_rate: {hour: 1}\nkeep_empty: false\n"})
    assert (
        only_mistake(path)
        == "config/snapshots.yml:3: key 'keep_empty' stands twice, first on line 1; remove one"
    )


@pytest.mark.parametrize(("text", "got"), [("text", "'text'"), ("- a", "a list"), ("5", "5")])
def test_file_without_a_mapping(app: Folder, text: str, got: str) -> None:
    assert only_mistake(app({"api.yml": f"# comment\n{text}\n"})) == (
        f"config/api.yml:2: expected a mapping, got {got}"
    )


def test_file_and_folder_of_one_name(app: Folder) -> None:
    path = app({"modules.yml": "a: 1", "modules/a.yml": "b: 1"})
    assert only_mistake(path) == (
        "config/modules.yml: stands beside the folder modules/; keep the folder or the file"
    )


def test_mistakes_in_two_files_are_reported_together_sorted_by_file_and_line(app: Folder) -> None:
    path = app(
        {
            "updater.yml": "cache_max_entries: many\nupdate_batch_period: 5 s\n",
            "api.yml": "max_body: large\n",
            "db_entities/device.yml": DEVICE.replace("int", "integer"),
            "control.yml": "allowed_actions: [",
        }
    )
    assert [line.split(" ")[0] for line in mistakes(path)] == [
        "config/api.yml:1:",
        "config/control.yml:1:",
        "config/db_entities/device.yml:9:",
        "config/updater.yml:1:",
        "config/updater.yml:2:",
    ]


def test_problems_can_be_read_by_programs(app: Folder) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(app({"snapshots.yml": "creation_rate:\n  hour: 24\n"}))
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.path) == (
        Path("config/snapshots.yml"),
        2,
        ("creation_rate", "hour"),
    )
    assert problem.message == "'24' is not in 0–23, got 24"


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("updater", "cache_max_entries: x", "1: cache_max_entries: expected a whole number, got 'x'"),
        ("updater", "cache_max_entries: true", "1: cache_max_entries: expected a whole number, got true"),
        (
            "updater",
            "update_batch_period: 0",
            "1: update_batch_period: expected a duration longer than zero, "
            "for example 30s, 5m, 2h or 7d, got 0",
        ),
        (
            "updater",
            "\nupdate_batch_period: 5 s",
            "2: update_batch_period: expected a duration, for example 30s, 5m, 2h or 7d, got '5 s'",
        ),
        (
            "updater",
            "update_batch_cron: '*/5'",
            "1: update_batch_cron: expected a mapping, got '*/5'",
        ),
        (
            "updater",
            "update_batch_crno: {}",
            "1: update_batch_crno: unknown key; did you mean 'update_batch_cron'?",
        ),
        (
            "telemetry",
            "x: 1",
            "1: x: unknown key; known keys: attribute_bson_size_schedule",
        ),
        (
            "snapshots",
            "creation_rate:\n  minutes: '*/5'",
            "2: creation_rate.minutes: unknown key; did you mean 'minute'?",
        ),
        (
            "snapshots",
            "creation_rate:\n  minute: '*/70'",
            "2: creation_rate.minute: the step must be 1–59, not 70, got '*/70'",
        ),
        ("snapshots", "keep_empty: perhaps", "1: keep_empty: expected true or false, got 'perhaps'"),
        (
            "history_manager",
            "snapshot_cleaning:\n  older_than: 5w",
            "2: snapshot_cleaning.older_than: expected a duration, for example 30s, 5m, 2h or 7d, got '5w'",
        ),
        (
            "history_manager",
            "mark_datapoints_schedule: {hour: 30}",
            "1: mark_datapoints_schedule.hour: '30' is not in 0–23, got 30",
        ),
        (
            "control",
            "allowed_actions:\n  - make_snapshots\n  - refresh_module",
            "3: allowed_actions.1: expected 'make_snapshots', 'refresh_on_entity_creation' or "
            "'refresh_module_config', got 'refresh_module'; did you mean 'refresh_module_config'?",
        ),
        ("control", "allowed_actions:", "1: allowed_actions: expected a list, got nothing (null)"),
        (
            "processing_core",
            "max_inline_generated_tasks: -1",
            "1: max_inline_generated_tasks: "
            "processing_core.max_inline_generated_tasks must be a non-negative integer, got -1",
        ),
        (
            "processing_core",
            "worker_processes: 0",
            "1: worker_processes: expected greater than or equal to 1, got 0",
        ),
        ("processing_core", "enabled_modules:", "1: enabled_modules: expected a list, got nothing (null)"),
        (
            "processing_core",
            "log:\n  max_backlog: 4 elephants",
            "2: log.max_backlog: expected a size, for example 64MiB, 1GB or a number of bytes, "
            "got '4 elephants'",
        ),
        (
            "processing_core",
            "log:\n  segment_aeg: 1d",
            "2: log.segment_aeg: unknown key; did you mean 'segment_age'?",
        ),
        (
            "processing_core",
            "worker_threads: 1\nhook_hang: 5s",
            "2: hook_hang: must not be shorter than hook_timeout (0:00:10), got 0:00:05",
        ),
        ("database", "conection: {}", "1: conection: unknown key; did you mean 'connection'?"),
        (
            "database",
            "url: mongodb://user:secret@host/db",
            "1: url: expected postgresql://…, sqlite:// or no url at all, got another address",
        ),
        ("database", "schema_name: My-App", "1: schema_name: "),
        ("database", "connections: 1", "1: connections: "),
        (
            "database",
            "read_url: sqlite://",
            "1: read_url: expected postgresql://…, got another address",
        ),
        (
            "database",
            "url: sqlite://\nread_url: postgresql://u:secret@db2/dp3",
            "2: read_url: needs a server (url), of which it is a copy, got postgresql://…",
        ),
        (
            "database",
            "url: postgresql://u:secret@db1,db2/dp3?sslmod=require",
            "1: url: the option 'sslmod' is unknown to PostgreSQL's clients, got postgresql://…",
        ),
        (
            "database",
            "url: postgresql://u:se%zzcret@db1/dp3",
            "1: url: the address means nothing to PostgreSQL's clients, got postgresql://…",
        ),
        (
            "database",
            "url: postgresql://db1/dp3?options=-c%20work_mem%3D1GB",
            "1: url: options belong to the user (ALTER ROLE … SET …), got postgresql://…?options=…",
        ),
        (
            "event_logging",
            "groups:\n  te:\n    intervals: [5m, often]",
            "3: groups.te.intervals.1: expected a duration, for example 30s, 5m, 2h or 7d, got 'often'",
        ),
        (
            "api",
            "datapoint_logger: {good_log: true}",
            "1: datapoint_logger.good_log: expected the path of a file",
        ),
        *(
            (
                "api",
                f"cors: {{allow_origins: ['{wrong}']}}",
                "1: cors.allow_origins.0: expected an origin such as",
            )
            for wrong in (
                "null",
                "",
                "pages.example",
                "https://",
                "https://x/y",
                "https://*.x",
                "https://a@b",
                "**",
            )
        ),
        *(
            ("api", f"allowed_hosts: ['{wrong}']", "1: allowed_hosts.0: expected a name without port such as")
            for wrong in ("", "https://x", "x:5000", "x/y", "*x", "*.", "x..y", "a.*", ".x")
        ),
        ("api", "max_value: 1\ntimestamps: foo", "2: timestamps: expected 'utc' or 'naive', got 'foo'"),
        ("api", "timestamps: naiv", "1: timestamps: expected 'utc' or 'naive', got 'naiv'; did you mean"),
    ],
)
def test_wrong_setting(app: Folder, file: str, text: str, expected: str) -> None:
    assert only_mistake(app({f"{file}.yml": text})).startswith(f"config/{file}.yml:{expected}")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:secret@host",
        "sqlite:///secret",
        "postgresql://user:secret@host/db?sslmod=require",
        "postgresql://user:secret%zz@host/db",
        "postgresql://user:secret@host/db?sslmode=%zz",
    ],
)
def test_database_address_is_never_shown(app: Folder, url: str) -> None:
    assert "secret" not in only_mistake(app({"database.yml": f"url: {url}"}))


def test_without_its_driver_a_server_is_refused_with_what_to_install(
    app: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dp3.config.sections.find_spec", lambda _: None)
    line = only_mistake(app({"database.yml": "url: postgresql://u:secret@h/d"}))
    assert line == (
        "config/database.yml:1: url: needs psycopg 3 (pip install 'dp3-platform[postgres]'), got postgresql://…"
    )


def test_folder_of_a_datapoint_log_must_exist(app: Folder) -> None:
    path = app({"api.yml": "datapoint_logger:\n  good_log: good.log\n  bad_log: nowhere/bad.log\n"})
    assert only_mistake(path) == (
        "config/api.yml:3: datapoint_logger.bad_log: the folder of the file must exist, "
        f"got nowhere/bad.log; create {Path('nowhere').absolute()}"
    )


def test_misspelt_attribute_key(app: Folder) -> None:
    line = only_mistake(app({"db_entities/device.yml": attribute("multi_valeu: true")}))
    assert line.startswith("config/db_entities/device.yml:10: attribs.load.multi_valeu: ")
    assert "did you mean 'multi_value'?" in line


def test_wrong_type_of_an_attribute_key(app: Folder) -> None:
    line = only_mistake(app({"db_entities/device.yml": attribute("confidence: [1]")}))
    assert line.startswith("config/db_entities/device.yml:10: attribs.load.confidence: ")


def test_unknown_data_type(app: Folder) -> None:
    line = only_mistake(app({"db_entities/device.yml": DEVICE.replace("int", "ipv5")}))
    assert line.startswith("config/db_entities/device.yml:9: attribs.load.data_type: ")
    assert "did you mean 'ipv4'?" in line or "did you mean 'ipv6'?" in line


def test_link_to_unknown_entity(app: Folder) -> None:
    line = only_mistake(app({"db_entities/device.yml": DEVICE.replace("int", "link<devise>")}))
    assert line.startswith("config/db_entities/device.yml:9: attribs.load.data_type: ")
    assert "did you mean 'device'?" in line


def test_missing_key_has_the_line_of_the_attribute(app: Folder) -> None:
    line = only_mistake(app({"db_entities/device.yml": DEVICE.replace("    name: load\n", "")}))
    assert line.startswith("config/db_entities/device.yml:6: attribs.load.name: ")


def test_bad_duration_in_an_attribute(app: Folder) -> None:
    line = only_mistake(app({"db_entities/device.yml": attribute("history_params: {max_age: 7w}")}))
    assert line.startswith("config/db_entities/device.yml:10: attribs.load.history_params.max_age: ")


def test_file_name_that_differs_from_the_entity_id(app: Folder) -> None:
    line = only_mistake(app({"db_entities/device.yml": DEVICE.replace("id: device", "id: devices")}))
    assert line.startswith("config/db_entities/device.yml:2: entity.id: ")
    assert "Entity id 'device' does not match entity id 'devices' in spec." in line


def test_weak_type_that_nothing_links_to(app: Folder) -> None:
    weak = DEVICE.replace("  snapshot: true\n", "  snapshot: true\n  lifetime: {type: weak}\n")
    line = only_mistake(app({"db_entities/device.yml": weak}))
    assert line.startswith("config/db_entities/device.yml:5: entity.lifetime")
    assert "Entity device has weak lifetime but is not referenced by any other entities." in line


def test_missing_part_of_an_entity_file(app: Folder) -> None:
    line = only_mistake(app({"db_entities/device.yml": "entity: {id: device, name: x, snapshot: true}\n"}))
    assert line.startswith("config/db_entities/device.yml:1: ")
    assert "attribs" in line


def test_folder_in_place_of_an_entity_file(app: Folder) -> None:
    lines = mistakes(app({"db_entities/old/ip.yml": "entity: {}"}))
    assert lines
    assert all(line.startswith("config/db_entities/old: ") for line in lines if "/ip.yml" not in line)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_and_folder_that_must_not_be_read(app: Folder) -> None:
    path = app({"api.yml": "{}", "modules/a.yml": "{}"})
    Path("config/api.yml").chmod(0)
    Path("config/modules").chmod(0)
    lines = mistakes(path)
    Path("config/modules").chmod(0o700)
    assert lines == [
        "config/api.yml: cannot be read: Permission denied",
        "config/modules: Cannot open: config/modules: Permission denied",
    ]


def test_data_type_of_a_setting_in_a_list(app: Folder) -> None:
    path = app({"control.yml": "x: 1\nallowed_actions: [make_snapshots,\n  5]\n"})
    assert only_mistake(path).startswith("config/control.yml:3: allowed_actions.1: expected 'make_snapshots'")


@pytest.mark.parametrize("url", ["sqlite:", "sqlite://"])
def test_sqlite_is_the_engine_that_may_be_named(app: Folder, url: str) -> None:
    assert load(app({"database.yml": f"url: '{url}'"})).database.url == url


def test_a_server_may_be_named(app: Folder) -> None:
    database = load(app({"database.yml": "url: postgresql://db1,db2/dp3\nschema_name: buses"})).database
    assert (database.server, database.schema_name) == ("postgresql://db1,db2/dp3", "buses")
    assert load(app({"database.yml": "url: sqlite://"})).database.server is None


def test_without_the_library_of_its_driver_a_server_is_refused(
    app: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setattr("dp3.config.sections.find_spec", lambda _: "found")
    line = only_mistake(app({"database.yml": "url: postgresql://u:secret@h/d"}))
    assert line == (
        "config/database.yml:1: url: needs psycopg 3 with its library"
        " (pip install 'dp3-platform[postgres]'), got postgresql://…"
    )


def test_enabled_module_without_a_file(app: Folder) -> None:
    path = app(
        {"processing_core.yml": "modules_dir: ../modules\nenabled_modules:\n  - counter\n  - cuonter\n"}
    )
    Path("modules").mkdir()
    Path("modules/counter.py").write_text("")
    assert only_mistake(path) == (
        "config/processing_core.yml:4: enabled_modules.1: "
        "Some of desired modules are not available (not in modules folder), specifically: {'cuonter'}; "
        f"did you mean 'counter'?; looked in {Path('modules').resolve()}"
    )


def test_modules_folder_that_cannot_be_opened(app: Folder) -> None:
    path = app({"processing_core.yml": "enabled_modules: [counter]\nmodules_dir: nowhere\n"})
    assert only_mistake(path) == (
        "config/processing_core.yml:2: modules_dir: expected the folder of the enabled modules, "
        f"cannot open {Path('config/nowhere').resolve()}: No such file or directory"
    )


def test_module_enabled_twice(app: Folder) -> None:
    path = app({"processing_core.yml": "modules_dir: ../modules\nenabled_modules: [a,\n  a]\n"})
    Path("modules").mkdir()
    Path("modules/a.py").write_text("")
    assert only_mistake(path) == (
        "config/processing_core.yml:3: enabled_modules.1: "
        "module 'a' stands 2 times; expected each module once"
    )


@pytest.mark.parametrize(
    ("file", "text", "mistake"),
    [
        (
            "processing_core.yml",
            "worker_processes: 2\nbatch_time_limit: 1:30",
            "2: 1:30 is the number 90 in YAML (base 60)",
        ),
        (
            "snapshots.yml",
            "creation_rate:\n  hour: 010",
            "2: 010 is the number 8 in YAML (octal); write 8 or 10",
        ),
        (
            "db_entities/device.yml",
            attribute("history_params: {max_age: 24:00}"),
            "10: 24:00 is the number 1440",
        ),
    ],
)
def test_number_that_is_not_what_it_looks_like(app: Folder, file: str, text: str, mistake: str) -> None:
    assert only_mistake(app({file: text})).startswith(f"config/{file}:{mistake}")


OLD = DEVICE.replace(
    "  snapshot: true\n", "  snapshot: true\n  key_data_type: ipv4\n  auto_create_record: true\n"
)


def test_an_old_configuration_gets_one_message_with_all_that_is_to_be_done(app: Folder) -> None:
    path = app(
        {
            "db_entities/device.yml": OLD,
            "db_entities/user.yml": OLD.replace("device", "user"),
            "history_manager.yml": "snapshot_cleaning:\n  days_to_keep: 7\n"
            "datapoint_archivation: {days_to_keep: 30}\n",
        }
    )
    assert only_mistake(path) == (
        "config/db_entities/device.yml:5: entity.key_data_type: keys of an older version of DP³. Steps: "
        "1. rename key_data_type to id_data_type (db_entities/device.yml:5, db_entities/user.yml:5); "
        "2. remove auto_create_record (db_entities/device.yml:6, db_entities/user.yml:6): entities are made "
        "by their first data-point, unless a hook of a module refuses it "
        "(register_allow_entity_creation_hook); "
        "3. in place of days_to_keep write older_than, with a unit, such as 7d for 7 "
        "(history_manager.yml:2, history_manager.yml:3)"
    )


def test_what_else_is_wrong_in_an_old_configuration_is_told_beside_it(app: Folder) -> None:
    second, first = mistakes(app({"db_entities/device.yml": OLD.replace("ipv4", "ip")}))
    assert "Steps: 1. rename key_data_type" in first and "2. remove" in first and "3." not in first
    assert "entity.id_data_type: " in second and "'ip'" in second


@pytest.mark.parametrize("value", ["x", "[7]", "1.5", "null"])
def test_days_that_are_no_number_are_told_too(app: Folder, value: str) -> None:
    line = only_mistake(app({"history_manager.yml": f"snapshot_cleaning: {{days_to_keep: {value}}}"}))
    assert line.startswith("config/history_manager.yml:1: snapshot_cleaning.days_to_keep: ")


def test_attributes_and_groups_may_be_called_as_old_keys(app: Folder) -> None:
    text = DEVICE.replace("  load:", "  days_to_keep:")
    config = load(app({"db_entities/device.yml": text, "event_logging.yml": "groups: {key_data_type: {}}"}))
    assert "days_to_keep" in config.model.attribs("device")
