"""Lifetimes and deletions in the real program."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dp3.model.wire import decode_value
from kit.load import choose
from kit.program import HEADER, App, Process, wait_for
from kit.specs import a_type, observed_attr, plain_attr

SOURCES, TARGETS, GONE, KILLS = 1_200, 10, 5, 8
FOR_A_DAY = {"post_validity": "1d", "aggregate": False}

LINKED = {
    "t": a_type("t", {"p": plain_attr("int")}),
    "a": a_type(
        "a",
        {
            "one": plain_attr("link<t>"),
            "many": plain_attr("array<link<t>>"),
            "seen": observed_attr("link<t>", FOR_A_DAY, multi_value=True),
        },
    ),
}

MORTAL = {
    "d": a_type("d", {"p": plain_attr("int")}, lifetime={"type": "ttl", "on_create": "1s"}),
    "w": a_type("w", {"p": plain_attr("int")}, lifetime={"type": "weak"}),
    "a": a_type("a", {"d": plain_attr("link<d>"), "w": plain_attr("link<w>")}),
}

KEEPING_MODULE = (
    HEADER
    + """
class Keeping(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_on_new_attr_hook(self.on_new, "d", "p")

    def on_new(self, eid, dp):
        if dp.v == 1:
            then = datetime.now() + timedelta(days=365)
            return [DataPointTask(etype="d", eid=eid, ttl_tokens={"keeping/p.is 1": then})]
        if dp.v == 2:
            return [DataPointTask(etype="d", eid=eid, delete=True)]
"""
)


def point(etype: str, eid: str, attr: str, v: Any, **more: Any) -> dict[str, Any]:
    return {"type": etype, "id": eid, "attr": attr, "v": v, **more}


def test_entities_end_as_their_tokens_and_links_say(app: App) -> None:
    collections = {"collection_rate": {"second": "*"}}
    app.write({"keeping": KEEPING_MODULE}, model=MORTAL, files={"garbage_collector.yml": collections})
    program = app.run_ready("--workers", "2")
    app.client.send(
        [
            *(point("a", "a1", "d", {"eid": "over"}), point("a", "a1", "w", {"eid": "linked"})),
            *(point("w", eid, "p", 0) for eid in ("linked", "alone")),
            *(
                point("d", eid, "p", v)
                for eid, v in (("over", 0), ("kept", 1), ("removed", 2), ("client", 0))
            ),
        ]
    )
    app.client.request("POST", "/entity/d/client/ttl", body={"a.b $c": "2100-01-01"})
    app.wait_idle()
    for etype, eid in (("d", "over"), ("d", "removed"), ("w", "alone")):
        wait_for(f"end of {eid}", lambda etype=etype, eid=eid: not master(app, etype, eid))
    wait_for("end of the link", lambda: "d" not in master(app, "a", "a1"))
    assert master(app, "a", "a1")["w"]["v"] == {"eid": "linked"}
    assert set(master(app, "d", "kept")["#ttl"]) == {"keeping/p.is 1"}
    assert set(master(app, "d", "client")["#ttl"]) == {"a.b $c"}
    assert master(app, "w", "linked")
    assert {record["worker"] for record in app.client.get("/telemetry/collections")} == {0, 1}
    assert app.dead_letters() == []
    app.stop(program)


def master(app: App, etype: str, eid: str) -> dict[str, Any]:
    found: dict[str, Any] = app.client.get(f"/entity/{etype}/{eid}/master")
    return found


def test_kills_while_links_to_deleted_entities_are_removed_leave_none_and_take_no_other(app: App) -> None:
    app.write(model=LINKED)
    program = app.run_ready("--workers", "2")
    now = datetime.now(UTC)
    for first in range(0, SOURCES, 200):
        app.client.send([each for n in range(first, first + 200) for each in links_of(n, now)])
    app.client.send([point("t", target(n), "p", n) for n in range(TARGETS)])
    app.wait_idle()
    before = stored(app)
    for n in range(GONE):
        app.client.request("DELETE", f"/entity/t/{target(n)}")
    kill_while_links_go(app, program)
    wait_for("end of all", lambda: not app.query("SELECT 1 FROM tombstone"))
    app.wait_idle()
    assert stored(app) == [left for row in before if (left := without_gone(*row)) is not None]
    assert app.dead_letters() == []
    app.stop(program)


def target(number: int) -> str:
    return f"t{number}"


def links_of(number: int, now: datetime) -> list[dict[str, Any]]:
    """Links of an entity to one target that may be deleted, and to one that is not."""
    eid, one, other = f"a{number}", {"eid": target(number % TARGETS)}, {"eid": target(TARGETS)}
    times = [(now + timedelta(seconds=n)).isoformat() for n in range(2)]
    seen = [point("a", eid, "seen", v, t1=t) for v, t in zip((one, other), times, strict=True)]
    return [point("a", eid, "one", one), point("a", eid, "many", [one, other]), *seen]


def kill_while_links_go(app: App, program: Process) -> None:
    """Kill workers, each time after further links went."""
    chance, left = choose(4), len(stored(app))
    for _ in range(KILLS):
        wait_for("progress", lambda left=left: len(stored(app)) < left or not tombstones(app))
        left = len(stored(app))
        app.child(program, "worker", chance.randrange(2)).kill()


def tombstones(app: App) -> int:
    return int(app.query("SELECT count(*) FROM tombstone")[0][0])


def stored(app: App) -> list[tuple[str, Any]]:
    """(entity, value) of all links that are stored."""
    rows = app.query(
        "SELECT eid, v FROM entity JOIN plain ON entity.key = plain.entity WHERE eid LIKE 'a%'"
        " UNION ALL SELECT eid, v FROM entity JOIN fresh ON entity.key = fresh.entity"
        " JOIN incoming ON incoming.key = fresh.key ORDER BY 1, 2"
    )
    return [(eid, decode_value(v)) for eid, v in rows]


def without_gone(eid: str, value: Any) -> tuple[str, Any] | None:
    gone = {target(n) for n in range(GONE)}
    if isinstance(value, list):
        return eid, [link for link in value if link["eid"] not in gone]
    return None if value["eid"] in gone else (eid, value)
