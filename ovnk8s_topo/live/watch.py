"""What others did to the database since the last look, and whether it matters.

Law: a row that is as it was planned needs no plan; everything else that could change one is told.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from ovnk8s_topo.diff import ChangeSet, Delete, Insert, Rules, diff
from ovnk8s_topo.errors import OwnershipError
from ovnk8s_topo.live.occupancy import Occupancy, held_as_planned
from ovnk8s_topo.live.standing import Standing
from ovnk8s_topo.nb.ownership import owned_by
from ovnk8s_topo.nb.rowset import RowSet, Snapshot, Stored
from ovnk8s_topo.nb.tables import Key, LogicalSwitchPort, Row
from ovnk8s_topo.planner import Grant
from ovnk8s_topo.planner.claims import Held
from ovnk8s_topo.planner.desired import PORTS

SWITCHES = "Logical_Switch"


@dataclass(slots=True)
class Findings:
    """What must be planned again.

    networks    those with a port that is not as planned, or with another one beside them
    everything  something else is not as planned
    something   a row changed that is not as planned, whosever it is
    stale       whether a row of ours has come that nobody wants
    ports       ports that are as planned: what they held before, and hold now
    """

    networks: set[str] = field(default_factory=set)
    everything: bool = False
    something: bool = False
    stale: bool = False
    ports: list[tuple[Held | None, Held | None]] = field(default_factory=list)


class Watch:
    """Looks at changed rows.

    prefixes  what the OVN names of networks begin with, kept by somebody else
    known     uuid -> key of every row in the database
    odd       networks in whose switches somebody has ports that name another network
    departed  uuids of rows that plans have deleted and that have not been seen to be gone
    arrived   uuid -> row of those that the last plan has made and that have not been seen, with what it holds as a port
    """

    def __init__(self, standing: Standing, occupancy: Occupancy, owner: str, prefixes: Container[str]) -> None:
        self.standing, self.occupancy, self.owner, self.prefixes = standing, occupancy, owner, prefixes
        self.odd: set[str] = set()
        self.departed: set[str] = set()
        self.arrived: dict[str, tuple[Row, Held | None]] = {}
        self.known: dict[str, Key] = {}

    def read_all(self, snapshot: Snapshot, known: Mapping[str, Row], grants: Mapping[str, Grant]) -> Iterator[str]:
        """Read every row; yield the uuids of those of ours that nobody wants.

        known   uuid -> row of those that are as the plan wants them: they need not be read
        grants  port name -> what it was made for
        """
        for uuid in snapshot.rows:
            row = known.get(uuid)
            held = held_by_plan(row, grants) if row else None
            stored = None if row else snapshot.rows[uuid]
            key = self.known[uuid] = row.key if row else cast(Stored, stored).key
            if key.table == PORTS:
                self._note_odd((self.occupancy.note(uuid, held) if held else self.occupancy.read(uuid, snapshot))[1])
            if stored and key not in self.standing.rows and owned_by(stored, self.owner):
                yield uuid

    @property
    def misses_any(self) -> bool:
        """Whether a planned row is not in the database at all."""
        return not self.standing.rows.keys() <= set(self.known.values())

    def expect(self, changes: ChangeSet, grants: Mapping[str, Grant]) -> None:
        """Note rows that have been made and deleted, so that they are missed, and not missed, from now on.

        grants  port name -> what the port was made for, of those that were made for somebody
        """
        self.arrived.clear()
        for change in changes:
            match change:
                case Insert(uuid, row):
                    self.await_row(uuid, row, held_by_plan(row, grants))
                case Delete(stored):
                    self.departed.add(stored.uuid)

    def await_row(self, uuid: str, row: Row, held: Held | None) -> None:
        """Note one row that has been made; see `arrived`."""
        self.known[uuid] = row.key
        self.arrived[uuid] = row, held

    def forget(self, uuid: str) -> None:
        """Note that a row has not been made after all."""
        self.known.pop(uuid, None)
        self.arrived.pop(uuid, None)

    def confirms(self, uuid: str, snapshot: Snapshot) -> bool:
        """Whether a row is as the last event has left it, and was noted then: most that an event finds is just that."""
        if (arrived := self.arrived.get(uuid)) is not None:
            row, held = arrived
            is_so = held is not None and self.occupancy.has(uuid, held) and snapshot.shows(uuid, row)
        else:
            is_so = uuid in self.departed and not self.occupancy.knows(uuid) and uuid not in snapshot.rows
        if is_so:
            self.saw(uuid)
        return is_so

    def saw(self, uuid: str) -> None:
        """Note that a row was seen as the last event has left it."""
        if self.arrived.pop(uuid, None) is None:
            self.departed.remove(uuid)
            self.known.pop(uuid, None)

    def look(self, uuids: Iterable[str], snapshot: Snapshot) -> Findings:
        """Read rows that have changed, and say what follows."""
        findings = Findings()
        for uuid in uuids:
            row, held = self.arrived.pop(uuid, (None, None))
            # As most that an event finds: what the last one has done. Port names are unique by the schema.
            if held is not None and row is not None and snapshot.shows(uuid, row):
                if not self.occupancy.has(uuid, held):
                    findings.ports.append(self.occupancy.note(uuid, held))
            elif uuid in self.departed and snapshot.rows.get(uuid) is None:
                self._note_departure(uuid, findings)
            else:
                self._look(uuid, snapshot, findings)
        return findings

    def _note_departure(self, uuid: str, findings: Findings) -> None:
        """Note that a row that we have deleted is gone."""
        self.departed.remove(uuid)
        key = self.known.pop(uuid, None)
        if key and key.table == PORTS:
            findings.ports.append(self.occupancy.note(uuid, None))

    def _look(self, uuid: str, snapshot: Snapshot, findings: Findings) -> None:
        stored = snapshot.rows.get(uuid)
        before = self.known.pop(uuid, None)
        now = stored.key if stored else None
        if now:
            self.known[uuid] = now
        if stored and now not in self.standing.rows and owned_by(stored, self.owner):
            findings.stale = True
        # Both keys are looked at: what follows from each is noted.
        keys = {key for key in (before, now) if key}
        as_planned = sum(self._is_as_planned(key, snapshot, findings) for key in keys) == len(keys)
        findings.something |= not as_planned or before is now is None
        if now and now.table == SWITCHES and not as_planned:
            # It may say that it is of another network, and so are its ports.
            for child in snapshot.children(uuid):
                self._look_at_port(child.uuid, snapshot, findings, False)
        if PORTS in (before and before.table, now and now.table):
            self._look_at_port(uuid, snapshot, findings, as_planned)

    def _note_odd(self, held: Held | None) -> None:
        network = self.standing.network_of_switch(held.switch) if held else ""
        if held and network and network != held.network:
            self.odd.add(network)

    def _is_as_planned(self, key: Key, snapshot: Snapshot, findings: Findings) -> bool:
        if key in self.standing.rows:
            if is_as_wanted(self.standing.family(key), snapshot, self.owner):
                return True
            if key.table == PORTS:
                findings.networks.add(self.standing.units[key].network)
            else:
                findings.everything = True
        elif key.table != PORTS and self._is_near_us(key):
            findings.everything = True
        return False

    def _is_near_us(self, key: Key) -> bool:
        """Whether a row that we do not want bears a name that our networks may come to want, or speaks of a slice."""
        name = key.name.removeprefix("rtos-").removeprefix("stor-")
        cuts = (place for place, letter in enumerate(name) if letter == "_")
        return any(name[: place + 1] in self.prefixes for place in cuts)

    def _look_at_port(self, uuid: str, snapshot: Snapshot, findings: Findings, as_planned: bool) -> None:
        before, now = self.occupancy.read(uuid, snapshot)
        if as_planned:
            findings.ports.append((before, now))
            return
        self._note_odd(now)
        for held in (before, now):
            if held:
                findings.networks |= {held.network, self.standing.network_of_switch(held.switch)}
                findings.networks |= {item.network.name for item in self.standing.ports.get(held.port, ())}


def held_by_plan(row: Row, grants: Mapping[str, Grant]) -> Held | None:
    """Return what a planned row holds once it is in the database, None if it is not the port of a grant.

    row  with its owner's mark
    """
    grant = grants.get(row.name) if isinstance(row, LogicalSwitchPort) else None
    return held_as_planned(row, grant) if isinstance(row, LogicalSwitchPort) and grant else None


def is_as_wanted(family: dict[Key, Row], snapshot: Snapshot, owner: str) -> bool:
    """Whether a row is in the database as it was planned.

    family  it and the rows that hold it, itself first
    """
    key, row = next(iter(family.items()))
    found = snapshot.named(key)
    if len(found) == 1 and len(found[0].holders) < 2 and found[0].row == row:
        return True
    try:
        return diff(RowSet.by_key(family), snapshot, Rules(owner=owner)).is_empty
    except OwnershipError:
        return False
