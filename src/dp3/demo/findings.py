"""The findings of the platform so far: read back through its HTTP API, shown as tables or as one line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from dp3.client import Client
from dp3.printable import printable

RECENT = 400
SHOWN = 8

Profile = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Findings:
    """Number of entities by type, and the profiles (master records) of those looked at, by id."""

    counts: Mapping[str, int]
    hosts: Mapping[str, Profile]
    processes: Mapping[str, Profile]
    services: Mapping[str, Profile]
    peers: Mapping[str, Profile]

    def missing(self) -> list[str]:
        """Findings missing although the watcher and the modules have had their say; empty if all is well."""
        rules = {
            "no profile of this host": bool(self.hosts),
            "no process with a history of its CPU use": _any(self.processes, "cpu_percent"),
            "no service with what the module services derives": _any(self.services, "name", "exposure"),
            "no peer with what the module peers derives": _any(self.peers, "scope", "role"),
            "no process with what the module newcomers derives": _any(self.processes, "new_peer"),
        }
        return [sentence for sentence, holds in rules.items() if not holds]


def read_findings(client: Client) -> Findings:
    """Read the newest. Raises `ClientError`."""
    entities = client.get("/entities")
    talking = recent_ids(client, "process", "new_peer")[:SHOWN]
    return Findings(
        counts={etype: entity["eid_estimate_count"] for etype, entity in entities.items()},
        hosts=_profiles(client, "host", recent_ids(client, "host", "memory_percent")),
        processes=_profiles(client, "process", [*busiest(client), *talking]),
        services=_profiles(client, "service", recent_ids(client, "service", "exposure")),
        peers=_profiles(client, "ip", recent_ids(client, "ip", "role")),
    )


def recent_ids(client: Client, etype: str, attr: str) -> list[str]:
    """Ids of the entities that got this attribute lately, newest first."""
    return list(dict.fromkeys(point["id"] for point in _recent(client, etype, attr)))


def busiest(client: Client) -> list[str]:
    """Ids of the processes that used most CPU lately."""
    use: dict[str, float] = {}
    for point in _recent(client, "process", "cpu_percent"):
        use.setdefault(point["id"], point["v"])
    return sorted(use, key=lambda eid: use[eid], reverse=True)[:SHOWN]


def latest(profile: Profile, attr: str) -> Any:
    """The newest value of an attribute; of one with several values at a time, a list of the newest ones."""
    content = profile.get(attr)
    if isinstance(content, Mapping):
        return content["v"]
    if not content:
        return None
    end = max(entry["t2"] for entry in content)
    values = [entry["v"] for entry in content if entry["t2"] == end]
    return values if len(values) > 1 else values[0]


def all_values(profile: Profile, attr: str) -> Iterator[Any]:
    """Every different value in the history of an attribute."""
    values = [entry["v"] for entry in profile.get(attr, ())]
    yield from (value for i, value in enumerate(values) if value not in values[:i])


def _recent(client: Client, etype: str, attr: str) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = client.get(f"/entity/{etype}/raw/get", attr=attr, limit=RECENT)["data"]
    return data


def _profiles(client: Client, etype: str, eids: list[str]) -> dict[str, Profile]:
    read = {eid: client.get(f"/v2/entity/{etype}/master", eid=eid) for eid in dict.fromkeys(eids)}
    return {eid: profile for eid, profile in read.items() if profile}


def _any(profiles: Mapping[str, Profile], *attrs: str) -> bool:
    return any(all(profile.get(attr) for attr in attrs) for profile in profiles.values())


NOTHING = "–"


def line(findings: Findings) -> str:
    """The numbers of profiles."""
    return "profiles: " + ", ".join(f"{count} {etype}" for etype, count in findings.counts.items())


def tables(findings: Findings) -> Group:
    """Everything, on one screen."""
    return Group(
        line(findings), _hosts(findings), _processes(findings), _services(findings), _peers(findings)
    )


def _hosts(findings: Findings) -> Table:
    table = _table("hosts", "host", "system", "CPU %", "memory %", "load")
    for eid, profile in findings.hosts.items():
        points = profile.get("load") or [{"v": {"load_1m": None}}]
        system = " ".join(_texts(profile, "os", "kernel"))
        load = points[-1]["v"]["load_1m"]
        table.add_row(_safe(eid), system, *_texts(profile, "cpu_percent", "memory_percent"), _text(load))
    return table


def _processes(findings: Findings) -> Table:
    table = _table("busiest processes", "process", "CPU %", "memory MB", "state", "ports", "new peers")
    for eid, profile in list(findings.processes.items())[:SHOWN]:
        memory = latest(profile, "memory")
        table.add_row(
            _safe(eid),
            _text(latest(profile, "cpu_percent")),
            NOTHING if memory is None else str(memory // 1_000_000),
            _text(latest(profile, "state")),
            _joined(profile, "ports"),
            _joined(profile, "new_peer"),
        )
    return table


def _services(findings: Findings) -> Table:
    table = _table(
        "services (name and exposure are derived)", "service", "name", "listens on", "reachable from"
    )
    for eid, profile in sorted(findings.services.items())[:SHOWN]:
        table.add_row(
            _safe(eid),
            _text(latest(profile, "name")),
            _joined(profile, "addresses"),
            _joined(profile, "exposure"),
        )
    return table


def _peers(findings: Findings) -> Table:
    table = _table("peers (scope and role are derived)", "address", "scope", "role", "uses", "offers")
    for eid, profile in list(findings.peers.items())[:SHOWN]:
        columns = (_joined(profile, attr) for attr in ("role", "uses", "offers"))
        table.add_row(_safe(eid), _text(latest(profile, "scope")), *columns)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", expand=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _texts(profile: Profile, *attrs: str) -> list[str]:
    return [_text(latest(profile, attr)) for attr in attrs]


def _joined(profile: Profile, attr: str) -> str:
    return ", ".join(_text(value) for value in all_values(profile, attr)) or NOTHING


def _text(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, dict):
        value = value.get("eid", value)
    return f"{value:.1f}" if isinstance(value, float) else _safe(str(value))


def _safe(text: str) -> str:
    """Any process may have any name: nothing in it is markup or does something to the terminal."""
    return escape(printable(text))
