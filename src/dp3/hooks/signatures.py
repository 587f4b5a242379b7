"""What the hooks of application modules look like to a type checker.

An eid has exactly the type that its entity type configures, which is why it is `Any` here.
"""

from collections.abc import Callable, Iterable
from typing import Any

from dp3.model.task import DataPointTask

Tasks = Iterable[DataPointTask] | None
"""What hooks may return: any iterable of tasks (bounded), or nothing."""

TaskHook = Callable[[DataPointTask], Any]
AllowHook = Callable[[Any, DataPointTask], Any]
CreationHook = Callable[[Any, DataPointTask], Tasks]
NewAttrHook = Callable[[Any, Any], Tasks]
TimeseriesHook = Callable[[str, str, list[dict[str, Any]]], Tasks]
CorrelationHook = Callable[[str, dict[str, Any]], Tasks]
MasterCorrelationHook = Callable[[str, dict[str, Any], dict[str, Any]], Tasks]
RunHook = Callable[[], Tasks]
PeriodicHook = Callable[[str, Any, dict[str, Any]], Tasks]
PeriodicEidHook = Callable[[str, Any], Tasks]
