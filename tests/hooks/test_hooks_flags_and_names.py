"""Rules of shared flags and of the names of callables."""

from functools import partial

import pytest

from dp3.hooks.registration import SharedFlag, get_func_name, get_stable_func_name


def test_flag_is_lowered_until_set_and_after_unset() -> None:
    flag = SharedFlag()
    states = [flag.isset()]
    flag.set()
    states.append(flag.isset())
    flag.unset()
    states.append(flag.isset())
    flag.set(False)
    states.append(flag.isset())
    assert states == [False, True, False, False]


def test_flag_that_was_raised_again_is_not_lowered_for_the_time_before() -> None:
    flag = SharedFlag(True)
    first = flag.raised
    flag.set()
    flag.lower(first)
    assert flag.isset()
    flag.lower(flag.raised)
    assert not flag.isset()


@pytest.mark.parametrize(
    ("flag", "shown"),
    [
        (SharedFlag(True), "SharedFlag(True)"),
        (SharedFlag(banner="Refresh X"), "SharedFlag('Refresh X', False)"),
    ],
)
def test_flag_shows_its_banner_and_state(flag: SharedFlag, shown: str) -> None:
    assert repr(flag) == shown
    assert str(flag) == str(flag.isset())


class Sample:
    def method(self) -> None: ...

    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (Sample().method, "test_hooks_flags_and_names.Sample.method"),
        (Sample(), "test_hooks_flags_and_names.Sample"),
        (print, "builtins.print"),
        (partial(print, 1, end=""), "partial(builtins.print, 1, end='')"),
        (partial(partial(print, 1), 2), "partial(builtins.print, 1, 2)"),
        ([].append, "list.append"),
    ],
)
def test_callables_are_named_by_module_and_qualified_name(func: object, name: str) -> None:
    assert get_func_name(func) == name  # type: ignore[arg-type]


def test_stable_name_has_no_addresses() -> None:
    assert get_stable_func_name(partial(print, Sample(), 1, file=Sample.method)) == (
        "partial(builtins.print, Sample, 1, file=test_hooks_flags_and_names.Sample.method)"
    )
    assert "object at 0x" in get_func_name(partial(print, Sample()))
