"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# The same examples each time, so that a change is judged by what it changes; `make explore` tries others.
# Machines that are busy are slow.
settings.register_profile("repeatable", derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")
