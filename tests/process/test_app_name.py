"""The name of the application, as modules are told it."""

import pytest

from kit.program import FINDINGS, HEADER, App, wait_for

MODULE = (
    HEADER
    + """
from findings import found

class Named(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        found("names", platform_config.app_name)
"""
)


@pytest.mark.parametrize(
    ("variable", "options", "name"),
    [
        ("garden", (), "garden"),
        ("garden", ("--app-name", "park"), "park"),
        ("", (), None),
        (None, (), None),
    ],
)
def test_the_application_has_the_name_of_the_option_the_environment_or_its_folder(
    app: App,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    options: tuple[str, ...],
    name: str | None,
) -> None:
    monkeypatch.setenv("FINDINGS", str(app.root))
    if variable is not None:
        monkeypatch.setenv("APP_NAME", variable)
    app.write({"named": MODULE, "./findings": FINDINGS})
    program = app.run(*options)
    wait_for("the module", lambda: app.findings("names"))
    assert app.findings("names") == [name or app.root.name]
    assert f"{name or app.root.name}: API on " in program.output
    assert program.stop() == 0


def test_a_worker_has_the_name_that_it_is_given_first(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINDINGS", str(app.root))
    monkeypatch.setenv("APP_NAME", "garden")
    app.write({"named": MODULE, "./findings": FINDINGS})
    worker = app.worker(0, 1)
    wait_for("the module", lambda: app.findings("names"))
    assert app.findings("names") == ["app"]
    assert worker.stop() == 0
