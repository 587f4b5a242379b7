"""Tasks: what hooks return to change entities."""

from dp3.model.task import HASH, DataPointTask, Task, parse_data_point_task, task_context

__all__ = ["HASH", "DataPointTask", "Task", "parse_data_point_task", "task_context"]
