"""The application that benchmarks run."""

from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger

from dp3.bench.application import EVERY_SECOND, Application, soon
from dp3.config.loading import load


@pytest.fixture
def installed(tmp_path):
    def install(application):
        return load(application.install(tmp_path))

    return install


def _history_params(configuration):
    attribs = configuration.model.attribs("device")
    return {name: spec.history_params for name, spec in attribs.items() if hasattr(spec, "history_params")}


def test_without_wishes_it_is_the_bundled_one(installed):
    configuration = installed(Application())

    assert configuration.processing_core.enabled_modules == ()
    assert _history_params(configuration)["load"].post_validity.total_seconds() == 600


def test_nothing_begins_by_itself(installed):
    configuration = installed(Application())

    schedules = [
        configuration.snapshots.creation_rate,
        configuration.history_manager.aggregation_schedule,
        configuration.history_manager.datapoint_cleaning_schedule,
        configuration.history_manager.snapshot_cleaning.schedule,
        configuration.history_manager.datapoint_archivation.schedule,
        configuration.garbage_collector.collection_rate,
        configuration.updater.update_batch_cron,
        configuration.updater.cache_management_cron,
        configuration.telemetry.attribute_bson_size_schedule,
    ]
    assert all(schedule.fields() == {"year": 9999} for schedule in schedules)


def test_settings_take_the_place_of_those_of_their_file(installed):
    wished = {"garbage_collector": {"collection_rate": EVERY_SECOND}, "api": {"max_body": 7}}
    configuration = installed(Application(settings=wished))

    assert configuration.garbage_collector.collection_rate.fields() == EVERY_SECOND
    assert configuration.api.max_body == 7
    assert configuration.history_manager.aggregation_schedule.fields() == {"year": 9999}
    assert installed(Application()).garbage_collector.collection_rate.fields() == {"year": 9999}


@pytest.mark.parametrize("second", [0, 9, 10, 31, 48, 49, 59])
@pytest.mark.parametrize(("after_s", "wait_s", "period_s"), [(0, 6, 12), (10.2, 11, 20), (40, 40, 60)])
def test_soon_leaves_time_to_begin_watching(second, after_s, wait_s, period_s):
    now = datetime(2026, 1, 1, 12, 0, second, 999_999, tzinfo=UTC)
    trigger = CronTrigger(**soon(now, after_s), timezone="UTC")

    first = trigger.get_next_fire_time(None, now)
    following = trigger.get_next_fire_time(first, first + timedelta(seconds=1))
    assert wait_s <= (first - now).total_seconds() <= wait_s + 1
    assert (following - first).total_seconds() == period_s


def test_enabled_modules_are_found(installed):
    core = installed(Application(modules=["peer_load"])).processing_core

    assert core.enabled_modules == ("peer_load",)
    assert (core.modules_dir / "peer_load.py").is_file()


def test_validity_holds_for_all_observations_before_and_after(installed):
    params = _history_params(installed(Application(validity="30d")))

    assert {one.pre_validity.days for one in params.values()} == {30}
    assert {one.post_validity.days for one in params.values()} == {30}
    assert params.keys() == {"load", "temp", "os", "status", "tags", "peer"}


def test_validity_leaves_the_rest_of_the_history_as_it_is(installed):
    assert _history_params(installed(Application(validity="30d")))["load"].max_age.days == 7
