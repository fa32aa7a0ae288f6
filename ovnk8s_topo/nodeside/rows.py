"""A node's Open_vSwitch database as values: the rows that attachments touch, and changes of them.

Source: ovs-vswitchd.conf.db(5). Port and Interface are no root tables: a row that nobody refers to is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeRow:
    """A bridge; `ports` are uuids."""

    uuid: str
    name: str = ""
    ports: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRow:
    """A port; `interfaces` are uuids, more than one of a bond."""

    uuid: str
    name: str = ""
    interfaces: frozenset[str] = frozenset()
    other_config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceRow:
    """An interface."""

    uuid: str
    name: str = ""
    type: str = ""
    mtu_request: int | None = None
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VswitchRows:
    """What a node's database holds.

    uuid          of the one row of Open_vSwitch; "": there is none yet
    external_ids  of that row
    the others    by uuid
    """

    uuid: str = ""
    external_ids: Mapping[str, str] = field(default_factory=dict)
    bridges: Mapping[str, BridgeRow] = field(default_factory=dict)
    ports: Mapping[str, PortRow] = field(default_factory=dict)
    interfaces: Mapping[str, InterfaceRow] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row that the same changes insert; names are unique in all three tables."""

    table: str
    name: str


Reference = str | NewRow
"""The uuid of a row, or a row that is made at the same time."""

Cell = str | int | None | Mapping[str, str] | frozenset[Reference]
"""What a column holds; None is the empty set."""


@dataclass(frozen=True, slots=True)
class Insert:
    """A row is made; columns that are not named have their defaults."""

    row: NewRow
    columns: Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Assign:
    """A column gets another value."""

    table: str
    uuid: str
    column: str
    before: Cell
    after: Cell


@dataclass(frozen=True, slots=True)
class PutKeys:
    """Keys of a map get other values, or go (None); all others stay.

    before  the whole map, as it was read
    """

    table: str
    uuid: str
    column: str
    before: Mapping[str, str]
    after: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Members:
    """References are taken out of a set, and others come in; all others stay."""

    table: str
    uuid: str
    column: str
    removed: frozenset[Reference]
    added: frozenset[Reference]


Change = Insert | Assign | PutKeys | Members


@dataclass(frozen=True, slots=True)
class Relied:
    """What was decided on: the rows of `table` whose `column` has this value are `uuids`, and no others.

    row       look at this row only, which then is what `uuids` must be; "": at the whole table
    includes  the column, a map or a set, need only include the value
    """

    table: str
    column: str
    value: Cell
    uuids: frozenset[str]
    row: str = ""
    includes: bool = False


@dataclass(frozen=True, slots=True)
class WiringChanges:
    """Changes for one transaction, in order, and what must still be so when it is applied."""

    changes: tuple[Change, ...] = ()
    relied: tuple[Relied, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes
