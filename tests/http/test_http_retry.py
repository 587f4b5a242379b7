"""Trying failed hooks again, whatever has happened since."""

from collections.abc import Callable
from typing import Any

from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.task import DataPointTask
from dp3.model.wire import WirePoint, WireTask, encode_tasks
from dp3.store.ports.batches import Batch
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.leases import Holder
from kit.node import Node, dp

MakeNode = Callable[..., Node]


class Gate:
    """An allow hook that fails until it is told not to."""

    def __init__(self) -> None:
        self.works = False

    def register(self, registrar: CallbackRegistrar) -> None:
        registrar.register_allow_entity_creation_hook(self.hook, "a")

    def hook(self, eid: str, task: DataPointTask) -> bool:
        if not self.works:
            raise RuntimeError(f"can not decide on {eid}")
        return False


def letters(node: Node) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = node.get("/deadletters").json()["data"]
    return data


def retry(node: Node, id: int) -> dict[str, Any]:
    result: dict[str, Any] = node.post(f"/deadletters/{id}/retry").json()["results"][str(id)]
    return result


def test_retrying_an_allow_hook_that_works_now_removes_the_letter_and_keeps_the_entity(
    make_node: MakeNode,
) -> None:
    gate = Gate()
    node = make_node(register=gate.register, wait_limit_s=10)
    node.store_points(dp("p", 1, "e"))
    (letter,) = letters(node)
    gate.works = True
    with node.working():
        assert retry(node, letter["id"]) == {"done": True}
    assert letters(node) == []
    assert node.get("/entity/a/e/master").json()["p"]["v"] == 1


def test_a_letter_whose_task_no_longer_fits_the_model_stays_and_the_worker_goes_on(
    make_node: MakeNode,
) -> None:
    gate = Gate()
    node = make_node(register=gate.register, wait_limit_s=10)
    node.store_points(dp("p", 1, "e"))
    (letter,) = letters(node)
    stored = node.store.dead_letters.get(letter["id"])
    assert stored is not None
    outdated = stored._replace(task=encode_tasks([WireTask("gone", "e", [WirePoint("p", 1)])]))
    keep(node, outdated)
    with node.working():
        refused = retry(node, letters(node)[-1]["id"])
        assert refused["done"] is False
        assert "does not fit the model any more" in refused["reason"]
        gate.works = True
        assert retry(node, letter["id"]) == {"done": True}
    assert len(letters(node)) == 1


def keep(node: Node, letter: DeadLetter) -> None:
    lease = node.store.leases.take(0, 1, Holder("host", 1), 15)
    node.store.batches.commit(lease, Batch(dead_letters=[letter]))
    node.store.leases.release(lease)
