"""What the tests of the contract share: rows, raw operations, and the fixtures that a backend gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ovnk8s_topo.backends.contract import Committed, Decide, NbBackend
from ovnk8s_topo.diff import Change, ChangeSet, Rules, diff
from ovnk8s_topo.nb.ownership import marked
from ovnk8s_topo.nb.rowset import RowSet, Snapshot, Stored
from ovnk8s_topo.nb.tables import (
    OWNER_KEY,
    Copp,
    GatewayChassis,
    Key,
    LoadBalancerGroup,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    Meter,
    MeterBand,
    Row,
)

Op = dict[str, Any]
Other = Callable[[list[Op]], list[Any]]
"""Runs a raw transaction as another writer (RFC 7047 section 4.1.3) and returns its results."""

LIMIT_S = 20.0
"""For calls that are meant to succeed: far more than they need."""

SHORT_S = 0.3
"""For calls that are meant to fail at their deadline."""

NEW_UUID = "00000000-0000-4000-8000-00000000000a"
OTHER_UUID = "00000000-0000-4000-8000-00000000000b"
THIRD_UUID = "00000000-0000-4000-8000-00000000000c"
PORT_UUID = "00000000-0000-4000-8000-00000000000d"


def port(name: str = "p", parent: str = "s", **columns: Any) -> LogicalSwitchPort:
    return LogicalSwitchPort(name=name, parent=parent, **columns)


def router_port(name: str = "rp", parent: str = "r", **columns: Any) -> LogicalRouterPort:
    return LogicalRouterPort(
        name=name, parent=parent, mac="0a:58:0a:00:00:01", networks=frozenset({"10.0.0.1/24"}), **columns
    )


NETWORK: list[Row] = [LogicalSwitch(name="s"), port("p1"), port("p2", tag_request=7)]
MANY: list[Row] = [
    MeterBand(rate=25),
    Meter(name="arp", bands=frozenset({"drop 25 0"}), fair=True),
    Copp(name="copp", meters={"arp": "arp"}),
    LoadBalancerGroup(name="lbg"),
    LogicalSwitch(name="s", other_config={"subnet": "10.0.0.0/24"}, load_balancer_group=frozenset({"lbg"})),
    LogicalRouter(name="r", copp="copp", options={"always_learn_from_arp_request": "false"}),
    port("s-r", type="router", options={"router-port": "r-s"}, addresses=frozenset({"router"})),
    port("pod", addresses=frozenset({"0a:58:0a:00:00:05 10.0.0.5", "dynamic"}), external_ids={"pod": "ü☃"}),
    router_port("r-s"),
    GatewayChassis(name="gw", parent="r-s", chassis_name="chassis-1", priority=10),
]


def wanted(rows: list[Row], owner: str = "me") -> RowSet:
    return RowSet(marked(row, owner) for row in rows)


def decide(rows: list[Row], owner: str = "me", **rules: Any) -> Decide:
    desired = wanted(rows, owner)
    return lambda actual: diff(desired, actual, Rules(owner=owner, **rules))


def always(*changes: Change) -> Decide:
    return lambda _: ChangeSet(changes)


def after(meddle: Callable[[], object], deciding: Decide) -> Decide:
    """Decide, and let another writer act before the decision gets to the database; only the first time."""
    acts = iter([meddle])

    def decision(actual: Snapshot) -> ChangeSet:
        changes = deciding(actual)
        for act in acts:
            act()
        return changes

    return decision


def at(uuid: str) -> list[Any]:
    return [["_uuid", "==", ["uuid", uuid]]]


def insert(table: str, uuid: str, **row: Any) -> Op:
    return {"op": "insert", "table": table, "uuid": uuid, "row": row}


def update(table: str, uuid: str, **row: Any) -> Op:
    return {"op": "update", "table": table, "where": at(uuid), "row": row}


def delete(table: str, uuid: str) -> Op:
    return {"op": "delete", "table": table, "where": at(uuid)}


def mutate(table: str, uuid: str, *mutation: Any) -> Op:
    return {"op": "mutate", "table": table, "where": at(uuid), "mutations": [list(mutation)]}


def owned(owner: str = "me") -> Any:
    return ["map", [[OWNER_KEY, owner]]]


def names(actual: Snapshot, table: str) -> list[str]:
    return sorted(stored.key.name for stored in actual.table(table))


class ContractBase:
    """Subclasses override `nb` and `other`, and `sent` if their backend does not count by itself."""

    @pytest.fixture
    def nb(self) -> Iterator[NbBackend]:
        """An empty database."""
        raise NotImplementedError

    @pytest.fixture
    def other(self, nb: NbBackend) -> Other:
        """Another writer to the same database."""
        raise NotImplementedError

    @pytest.fixture
    def sent(self, nb: NbBackend) -> Callable[[], int]:
        """How many transactions `nb` has sent so far."""
        return lambda: int(getattr(nb, "transactions", 0))

    # --- what the tests do ---

    def reconcile(self, nb: NbBackend, rows: list[Row], owner: str = "me", **rules: Any) -> Committed:
        return nb.commit(decide(rows, owner, **rules), timeout_s=LIMIT_S)

    def read(self, nb: NbBackend) -> Snapshot:
        return nb.snapshot(timeout_s=LIMIT_S)

    def read_until(self, nb: NbBackend, seen: Callable[[Snapshot], bool]) -> Snapshot:
        """Read until another writer's change has come in."""
        deadline = time.monotonic() + LIMIT_S
        while not seen(actual := self.read(nb)):
            assert time.monotonic() < deadline, "the other writer's change never came in"
            time.sleep(0.005)
        return actual

    def one(self, nb: NbBackend, table: str, name: str) -> Stored:
        (stored,) = self.read(nb).named(Key(table, name))
        return stored

    def do(self, other: Other, *ops: Op) -> None:
        results = other(list(ops))
        assert all(result is not None and "error" not in result for result in results), results

    def select(self, other: Other, table: str, *columns: str) -> list[list[Any]]:
        """What the database itself holds, sorted."""
        every = sorted({"_uuid", *columns})  # results are sets: without the uuid, equal rows would be one
        (result,) = other([{"op": "select", "table": table, "where": [], "columns": every}])
        return sorted(([row[column] for column in columns] for row in result["rows"]), key=repr)
