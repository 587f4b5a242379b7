"""From log entries to tasks; what can not be decoded is set aside."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dp3.engine.ingest.batch import Damaged, Item
from dp3.engine.ingest.cursor import Cursor
from dp3.log.port import Entry
from dp3.model.wire import Undecodable, decode_slice


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Tasks in log order, and what is damaged."""

    items: list[Item] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)


def of_one_kind(items: list[Item]) -> list[Item]:
    """The items of the first entries, as far as all of them are system tasks or none is: the effect of a
    system task depends on what was committed before."""
    for index, item in enumerate(items):
        if (item.task.system_task is None) is not (items[0].task.system_task is None):
            begin = next(i for i in range(index, -1, -1) if i == 0 or items[i - 1].entry is not item.entry)
            return items[:begin] or [each for each in items if each.entry is item.entry]
    return items


def unpack(entries: Sequence[Entry], cursor: Cursor) -> Unpacked:
    """The tasks of those slices that the worker owns. The owner of partition 0 reports damaged bodies."""
    unpacked = Unpacked()
    for entry in entries:
        if entry.damage and cursor.is_new(entry, 0):
            unpacked.damaged.append(Damaged(entry, 0, entry.damage))
        for partition, tasks in cursor.own_slices(entry):
            try:
                unpacked.items.extend(Item(entry, partition, task) for task in decode_slice(tasks))
            except Undecodable as error:
                unpacked.damaged.append(Damaged(entry, partition, str(error)))
    return unpacked
