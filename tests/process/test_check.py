"""`dp3 check` tells what works, but is hardly meant."""

from kit.program import HEADER, App

MODULE = (
    HEADER
    + """
class Yearly(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.scheduler_register(self.clean, month=2, day=31)

    def clean(self):
        pass
"""
)


def test_schedules_that_never_fire_are_noted_those_of_modules_too(app: App) -> None:
    app.write({"yearly": MODULE}, files={"snapshots.yml": {"creation_rate": {"year": 2020}}})
    checked = app.start("check", str(app.config))
    assert checked.wait() == 0
    of_settings, of_module = checked.output.splitlines()
    assert of_settings.endswith(
        "snapshots.yml:1: creation_rate: this schedule never fires: no moment has year 2020"
    )
    assert of_module == (
        "note: yearly: yearly.Yearly.clean: this schedule never fires: no moment has month 2, day 31"
    )


def test_schedules_that_never_fire_are_one_line_each_in_the_log_at_the_start(app: App) -> None:
    app.write({"yearly": MODULE}, files={"snapshots.yml": {"creation_rate": {"year": 2020}}})
    app.stop(app.run_ready())
    told = [line for line in app.output.read_text().splitlines() if "this schedule never fires" in line]
    assert len(told) == 2
    assert "snapshots.yml:1" in told[0] and "yearly.Yearly.clean" in told[1]
