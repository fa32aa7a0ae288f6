"""The laws of change sets (design: laws 1 and 4) on random databases and random wishes."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovnk8s_topo.backends.memory import MemoryNb
from ovnk8s_topo.diff import ChangeSet, Rules, apply_changes, diff, invert
from ovnk8s_topo.errors import OwnershipError
from ovnk8s_topo.nb.ownership import external_ids_of, marked, named_owner, owned_by, uuid_of
from ovnk8s_topo.nb.rowset import RowSet, Snapshot, Stored
from ovnk8s_topo.nb.tables import (
    OWNER_KEY,
    TABLES,
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
LIMIT_S = 10.0
SEEN: Counter[str] = Counter()

# --- a database that several writers have left behind ---


class Builder:
    """Draws the operations that make a random database; all of them are valid together."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.ops: list[Op] = []
        self.number = 0

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def subset(self, *choices: Any) -> list[Any]:
        return [choice for choice in choices if self.draw(st.booleans())]

    def row(self, table: str, name: str, owner: str | None, **columns: Any) -> str:
        self.number += 1
        uuid = f"00000000-0000-4000-{self.pick(8000, 9000)}-{self.number:012x}"
        ours = uuid_of("me", Key(table, name))
        if owner == "me" and self.draw(st.booleans()) and all(op["uuid"] != ours for op in self.ops):
            uuid = ours
        row = {"name": name, **columns} if table != "Meter_Band" else columns
        if "external_ids" in TABLES[table].columns:
            row["external_ids"] = self.map({OWNER_KEY: owner} if owner else {}, "theirs", "pod")
        self.ops.append({"op": "insert", "table": table, "uuid": uuid, "row": row})
        return uuid

    def map(self, fixed: dict[str, str], *keys: str) -> list[Any]:
        pairs = {**{key: self.pick("x", "y") for key in self.subset(*keys)}, **fixed}
        return ["map", [list(pair) for pair in pairs.items()]]

    def owners(self) -> str | None:
        found: str | None = self.pick("me", "me", "me", "them", None)
        return found

    def held(self, holders: list[str], column: str, uuid: str) -> None:
        """Put a child into one parent, now and then into two."""
        chosen = {self.pick(*holders)} | ({self.pick(*holders)} if self.number % 3 == 0 else set())
        for op in self.ops:
            if op["uuid"] in chosen:
                op["row"].setdefault(column, ["set", []])[1].append(["uuid", uuid])

    def build(self) -> list[Op]:
        groups = [self.row("Load_Balancer_Group", name, self.owners()) for name in self.subset("g", "h")]
        copps = [self.row("Copp", "c", None, meters=self.map({}, "arp", "x"))] if self.draw(st.booleans()) else []
        if self.draw(st.booleans()):
            band = self.row("Meter_Band", "", None, action="drop", rate=self.pick(1, 2))
            self.row("Meter", "m", None, unit="pktps", bands=["uuid", band])
        switches = [self.switch(name, groups) for name in self.subset("s", "s", "t", "u")]
        routers = [self.router(name, copps) for name in self.subset("r", "r", "q")]
        self.children(switches, routers)
        return self.ops

    def switch(self, name: str, groups: list[str]) -> str:
        listed = ["set", [["uuid", uuid] for uuid in self.subset(*groups)]]
        config = self.map({}, "subnet", "theirs")
        return self.row("Logical_Switch", name, self.owners(), other_config=config, load_balancer_group=listed)

    def router(self, name: str, copps: list[str]) -> str:
        copp = ["set", [["uuid", uuid] for uuid in self.subset(*copps)]]
        return self.row("Logical_Router", name, self.owners(), copp=copp)

    def children(self, switches: list[str], routers: list[str]) -> None:
        for name in self.subset("a", "b", "c", "d") if switches else []:
            tags = {column: self.pick(1, 2) for column in self.subset("tag", "tag_request")}
            port = self.row("Logical_Switch_Port", name, self.owners(), addresses=self.pick("x", "y"), **tags)
            self.held(switches, "ports", port)
        router_ports = []
        for name in self.subset("e", "f") if routers else []:
            router_ports.append(self.row("Logical_Router_Port", name, self.owners(), networks="10.0.0.1/24"))
            self.held(routers, "ports", router_ports[-1])
        for name in self.subset("k", "l") if router_ports else []:
            self.held(router_ports, "gateway_chassis", self.row("Gateway_Chassis", name, self.owners()))


@st.composite
def databases(draw: st.DrawFn) -> MemoryNb:
    nb = MemoryNb()
    results = nb.transact(Builder(draw).build())
    assert all(result is not None and "error" not in result for result in results), results
    return nb


# --- a wish ---


@st.composite
def wishes(draw: st.DrawFn) -> RowSet:
    def some(*choices: str) -> list[str]:
        return [choice for choice in choices if draw(st.booleans())]

    def one(*choices: Any) -> Any:
        return draw(st.sampled_from(choices))

    groups = some("g", "h")
    rows: list[Row] = [LoadBalancerGroup(name=name) for name in groups]
    if draw(st.booleans()):
        rate = one(1, 2)
        rows += [MeterBand(rate=rate), Meter(name="m", bands=frozenset({f"drop {rate} 0"}))]
    copps = some("c")
    rows += [Copp(name="c", meters=dict.fromkeys(some("arp", "bfd"), "m")) for _ in copps]
    switches, routers, router_ports = some("s", "t"), some("r", "q"), []
    for name in switches:
        config = dict.fromkeys(some("subnet", "exclude_ips"), one("x", "y"))
        rows.append(LogicalSwitch(name=name, other_config=config, load_balancer_group=frozenset(some(*groups))))
    rows += [LogicalRouter(name=name, copp=one(None, *copps)) for name in routers]
    for name in some("a", "b", "c") if switches else []:
        tag, ids = one(None, 0, 1, 2), dict.fromkeys(some("pod"), "z")
        rows.append(LogicalSwitchPort(name=name, parent=one(*switches), tag_request=tag, external_ids=ids))
    for name in some("e", "f") if routers else []:
        router_ports.append(name)
        rows.append(LogicalRouterPort(name=name, parent=one(*routers), networks=frozenset({one("n1", "n2")})))
    rows += [GatewayChassis(name=n, parent=one(*router_ports)) for n in (some("k", "l") if router_ports else [])]
    return RowSet(marked(row, "me") for row in rows)


rules = st.builds(
    Rules,
    owner=st.just("me"),
    adopt=st.booleans(),
    prune=st.booleans(),
    covers=st.sampled_from([lambda _: True, lambda stored: stored.key.name not in ("s", "a")]),
)


def difference(desired: RowSet, actual: Snapshot, rules: Rules) -> ChangeSet | None:
    """The change set, None if rows of others are in the way."""
    try:
        changes = diff(desired, actual, rules)
    except OwnershipError:
        SEEN["refused"] += 1
        return None
    SEEN["empty" if changes.is_empty else "changes"] += 1
    return changes


def read(nb: MemoryNb) -> Snapshot:
    return nb.snapshot(timeout_s=LIMIT_S)


def content(actual: Snapshot) -> dict[str, Stored]:
    return dict(actual.rows)


laws = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@laws
@given(nb=databases(), desired=wishes(), rules=rules)
def test_nothing_is_left_to_do_after_the_changes(nb: MemoryNb, desired: RowSet, rules: Rules) -> None:
    changes = difference(desired, read(nb), rules)
    if changes is not None:
        assert diff(desired, apply_changes(read(nb), changes), rules).is_empty


@laws
@given(nb=databases(), desired=wishes(), rules=rules)
def test_the_inverse_undoes(nb: MemoryNb, desired: RowSet, rules: Rules) -> None:
    changes = difference(desired, read(nb), rules)
    if changes is not None:
        assert content(apply_changes(apply_changes(read(nb), changes), invert(changes))) == content(read(nb))


@laws
@given(nb=databases(), desired=wishes(), rules=rules)
def test_the_database_does_what_the_change_set_says(nb: MemoryNb, desired: RowSet, rules: Rules) -> None:
    before = read(nb)
    changes = difference(desired, before, rules)
    if changes is None:
        return
    committed = nb.commit(lambda actual: diff(desired, actual, rules), timeout_s=0)
    assert (committed.changes, committed.attempts) == (changes, 1)
    assert content(read(nb)) == content(apply_changes(before, changes))
    if not has_namesakes(before):  # two switches of one name are a fault that no commit makes again
        nb.commit(lambda _: invert(changes), timeout_s=0)
        assert content(read(nb)) == content(before)


def has_namesakes(actual: Snapshot) -> bool:
    return any(len(actual.named(stored.key)) > 1 for stored in actual.rows.values())


@laws
@given(nb=databases(), desired=wishes(), rules=rules)
def test_what_is_not_ours_stays_as_it_is(nb: MemoryNb, desired: RowSet, rules: Rules) -> None:
    before = read(nb)
    changes = difference(desired, before, rules)
    if changes is None:
        return
    nb.commit(lambda _: changes, timeout_s=0)
    after = read(nb)
    for uuid, stored in before.rows.items():
        if owned_by(stored, "me"):
            assert foreign_keys(after.rows.get(uuid)) in (foreign_keys(stored), {})
        elif stored.row.TABLE.mark == "shared" or adopted(stored, desired, rules):
            assert uuid in after.rows
        else:
            assert after.rows[uuid] == stored


def adopted(stored: Stored, desired: RowSet, rules: Rules) -> bool:
    return rules.adopt and stored.key in desired and named_owner(stored) is None


def foreign_keys(stored: Stored | None) -> dict[str, str]:
    return {} if stored is None else {key: text for key, text in external_ids_of(stored.row).items() if key == "theirs"}


@laws
@given(nb=databases(), desired=wishes())
def test_after_a_prune_ours_is_what_is_wanted(nb: MemoryNb, desired: RowSet) -> None:
    changes = difference(desired, read(nb), Rules(owner="me", prune=True))
    if changes is None:
        return
    nb.commit(lambda _: changes, timeout_s=0)
    ours = [stored.key for stored in read(nb).rows.values() if owned_by(stored, "me")]
    assert len(ours) == len(set(ours))
    assert {key for key in ours if TABLES[key.table].mark == "external_ids"} == {
        key for key in desired if TABLES[key.table].mark == "external_ids"
    }


def test_the_random_databases_reached_every_outcome() -> None:
    """Runs after the laws: wishes that are always refused, or never change anything, prove nothing."""
    if SEEN:
        assert SEEN["changes"] > 50
        assert SEEN["refused"] > 10
