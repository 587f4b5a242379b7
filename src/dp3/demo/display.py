"""Findings as tables for a terminal, or as one line for a file."""

from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from dp3.demo.findings import SHOWN, Findings, Profile, all_values, latest

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
        table.add_row(escape(eid), system, *_texts(profile, "cpu_percent", "memory_percent"), _text(load))
    return table


def _processes(findings: Findings) -> Table:
    table = _table("busiest processes", "process", "CPU %", "memory MB", "state", "ports", "new peers")
    for eid, profile in list(findings.processes.items())[:SHOWN]:
        memory = latest(profile, "memory")
        table.add_row(
            escape(eid),
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
            escape(eid),
            _text(latest(profile, "name")),
            _joined(profile, "addresses"),
            _joined(profile, "exposure"),
        )
    return table


def _peers(findings: Findings) -> Table:
    table = _table("peers (scope and role are derived)", "address", "scope", "role", "uses", "offers")
    for eid, profile in list(findings.peers.items())[:SHOWN]:
        columns = (_joined(profile, attr) for attr in ("role", "uses", "offers"))
        table.add_row(escape(eid), _text(latest(profile, "scope")), *columns)
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
    return f"{value:.1f}" if isinstance(value, float) else escape(str(value))
