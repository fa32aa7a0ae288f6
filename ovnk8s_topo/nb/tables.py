"""The Northbound tables that this library writes: columns, keys, parents and who owns what.

Adding a column is one line here; adding a table is one class here. The diff, the backends and the in-memory
server read everything they need from these classes. Types and ranges follow ovn-nb(5), schema 7.0.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar, cast

from ovnk8s_topo.nb.columns import (
    Column,
    Value,
    column_of,
    integer,
    key_text,
    observed,
    optional_boolean,
    optional_integer,
    reference,
    references,
    text,
    text_map,
    texts,
)

OWNER_KEY = "ovnk8s-topo/owner"
"""The external_ids key under which a row carries the name of the owner that made it."""


class Key(NamedTuple):
    """How a row is called: its table and its name there."""

    table: str
    name: str

    def __str__(self) -> str:
        return f"{self.table} {self.name}"


Mark = Literal["external_ids", "uuid", "shared"]
"""How a row's owner is known.

external_ids  it carries `OWNER_KEY`
uuid          the table has no external_ids; the row's uuid is the one that the owner would have given it
shared        global, used by everybody: made when missing, completed, never changed otherwise and never deleted
"""


@dataclass(frozen=True)
class Table:
    """One table of the schema.

    columns  by name, in declaration order
    root     False: rows that nothing refers to any more are collected (RFC 7047 section 3.2)
    indexed  the schema enforces unique names
    parent   (table, column) whose members these rows are, () for root tables
    mark     how the owner of a row is known
    sole     a parent has one such row of an owner: another one is in its way, not left over
    puts     what gives a row in the making each of its values, by name: columns, and `parent` if it has one. A frozen
             dataclass looks its values up by name to set them, which takes as long as all the rest of making a row;
             its slots take them directly
    """

    name: str
    columns: Mapping[str, Column]
    root: bool
    indexed: bool
    parent: tuple[str, str] | tuple[()]
    mark: Mark
    sole: bool
    puts: Mapping[str, Callable[[Row, Any], None]]

    @cached_property
    def written(self) -> tuple[Column, ...]:
        """The columns that this library writes."""
        return tuple(column for column in self.columns.values() if column.ours)

    @cached_property
    def observed(self) -> tuple[Column, ...]:
        """The columns that others write: whoever deletes a row looks at them first."""
        return tuple(column for column in self.columns.values() if not column.ours)

    @cached_property
    def references(self) -> tuple[Column, ...]:
        """The columns in which a row of ours names other rows."""
        return tuple(column for column in self.written if column.refers)

    @cached_property
    def defaults(self) -> tuple[Value, ...]:
        """What the columns hold if nobody sets them, in declaration order."""
        return tuple(column.default for column in self.columns.values())

    @cached_property
    def unset(self) -> Mapping[str, Value]:
        """The same by name."""
        return dict(zip(self.columns, self.defaults, strict=True))

    @cached_property
    def content(self) -> Callable[[Row], tuple[Value, ...]]:
        """Returns the values of a row's columns, in declaration order."""
        return reader_of(self.columns)


def reader_of(columns: Iterable[str]) -> Callable[[Row], tuple[Any, ...]]:
    """Return what reads the values of some columns of a row."""
    names = tuple(columns)
    if not names:
        return lambda _: ()
    read: Callable[[Row], Any] = attrgetter(*names)
    # An attrgetter of one name returns the bare value.
    return read if len(names) > 1 else lambda row: (read(row),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of some table; subclasses add the columns."""

    TABLE: ClassVar[Table]

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """How the row is called in its table; subclasses have it, most of them as a column."""

    @property
    def key(self) -> Key:
        """How the row is called."""
        return tuple.__new__(Key, (self.TABLE.name, self.name))  # twice as quick as Key(...), and asked for everywhere

    @property
    def parent_key(self) -> Key | None:
        """The row that holds this one, None for rows that live on their own."""
        parent = self.TABLE.parent
        return tuple.__new__(Key, (parent[0], getattr(self, "parent"))) if parent else None  # noqa: B009 - not in every

    def get(self, column: str) -> Value:
        """Return the value of a column by name."""
        return cast(Value, getattr(self, column))

    def values(self) -> Iterator[tuple[Column, Value]]:
        """Return every column with its value."""
        return zip(self.TABLE.columns.values(), self.TABLE.content(self), strict=True)


R = TypeVar("R", bound=Row)


def row_from_values(kind: type[R], values: Mapping[str, Any]) -> R:
    """Return a row: what ``kind(**values)`` returns, in a third of the time.

    values  all of them, by name
    """
    row: R = object.__new__(kind)
    for name, put in kind.TABLE.puts.items():
        put(row, values[name])
    return row


TABLES: dict[str, Table] = {}
"""Every table, by name, in the order in which rows are inserted."""

ROW_TYPES: dict[str, type[Row]] = {}
"""The row class of every table."""


def _table(
    name: str,
    *,
    root: bool,
    indexed: bool = True,
    parent: tuple[str, str] | tuple[()] = (),
    mark: Mark,
    sole: bool = False,
) -> Callable[[type[R]], type[R]]:
    def register(cls: type[R]) -> type[R]:
        found = ((f.name, column_of(f.metadata, f.name)) for f in fields(cls))
        columns = {field_name: column for field_name, column in found if column is not None}
        puts = {value.name: getattr(cls, value.name).__set__ for value in fields(cls)}
        cls.TABLE = TABLES[name] = Table(name, columns, root, indexed, parent, mark, sole, puts)
        ROW_TYPES[name] = cls
        return cls

    return register


_IDENTITY = (OWNER_KEY, "k8s.ovn.org/network", "k8s.ovn.org/topology", "k8s.ovn.org/role", "k8s-ovn-topo-version")


@_table("Meter_Band", root=False, indexed=False, mark="shared")
@dataclass(frozen=True, slots=True, kw_only=True)
class MeterBand(Row):
    """What happens above a rate; shared by meters and found by value, for it has no name."""

    action: str = text(enum=("drop",), default="drop")
    rate: int = integer(1, 0xFFFFFFFF, default=1)
    burst_size: int = integer(0, 0xFFFFFFFF)

    @property
    def name(self) -> str:
        """The value itself: equal bands are one band."""
        return f"{self.action} {self.rate} {self.burst_size}"


@_table("Meter", root=True, mark="shared")
@dataclass(frozen=True, slots=True, kw_only=True)
class Meter(Row):
    """A rate limit, used by name."""

    name: str = key_text()
    unit: str = text(enum=("kbps", "pktps"), default="pktps")
    bands: frozenset[str] = references("Meter_Band", at_least=1)
    fair: bool | None = optional_boolean()


@_table("Copp", root=True, mark="shared")
@dataclass(frozen=True, slots=True, kw_only=True)
class Copp(Row):
    """Control plane protection: protocol to meter name."""

    name: str = key_text()
    meters: Mapping[str, str] = text_map(
        "arp",
        "arp-resolve",
        "bfd",
        "event-elb",
        "icmp4-error",
        "icmp6-error",
        "reject",
        "tcp-reset",
        "svc-monitor",
    )


@_table("Load_Balancer_Group", root=True, mark="uuid")
@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerGroup(Row):
    """A group that switches and routers list; empty for secondary networks."""

    name: str = key_text()


@_table("Logical_Switch", root=True, indexed=False, mark="external_ids")
@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalSwitch(Row):
    """A switch. Its `ports` are the rows that name it as their parent."""

    name: str = key_text()
    other_config: Mapping[str, str] = text_map("subnet", "exclude_ips", "ipv6_prefix")
    external_ids: Mapping[str, str] = text_map(*_IDENTITY)
    load_balancer_group: frozenset[str] = references("Load_Balancer_Group")
    acls: frozenset[str] = observed()
    qos_rules: frozenset[str] = observed()
    forwarding_groups: frozenset[str] = observed()


@_table("Logical_Router", root=True, indexed=False, mark="external_ids")
@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalRouter(Row):
    """A router. Its `ports` are the rows that name it as their parent."""

    name: str = key_text()
    options: Mapping[str, str] = text_map("always_learn_from_arp_request")
    external_ids: Mapping[str, str] = text_map(*_IDENTITY, "k8s-cluster-router")
    copp: str | None = reference("Copp", strong=False)
    static_routes: frozenset[str] = observed()
    policies: frozenset[str] = observed()
    nat: frozenset[str] = observed()


@_table("Logical_Switch_Port", root=False, parent=("Logical_Switch", "ports"), mark="external_ids")
@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalSwitchPort(Row):
    """A port of the switch named `parent`."""

    name: str = key_text()
    parent: str
    type: str = text()
    addresses: frozenset[str] = texts()
    port_security: frozenset[str] = texts()
    options: Mapping[str, str] = text_map("router-port", "network_name", "iface-id-ver", "requested-chassis")
    external_ids: Mapping[str, str] = text_map(*_IDENTITY, "k8s.ovn.org/nad", "namespace", "pod")
    tag_request: int | None = optional_integer(0, 4095)
    # northd copies the request into `tag`, but releases up to 26.03 keep a stale one when the request goes.
    tag: int | None = optional_integer(1, 4095, follows="tag_request")


@_table("Logical_Router_Port", root=False, parent=("Logical_Router", "ports"), mark="external_ids")
@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalRouterPort(Row):
    """A port of the router named `parent`."""

    name: str = key_text()
    parent: str
    mac: str = text()
    networks: frozenset[str] = texts(at_least=1)
    external_ids: Mapping[str, str] = text_map(OWNER_KEY)


@_table(
    "Gateway_Chassis", root=False, parent=("Logical_Router_Port", "gateway_chassis"), mark="external_ids", sole=True
)
@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayChassis(Row):
    """Where the router port named `parent` lives."""

    name: str = key_text()
    parent: str
    chassis_name: str = text()
    priority: int = integer(0, 32767)
    external_ids: Mapping[str, str] = text_map(OWNER_KEY)


def children_of(table: str) -> tuple[Table, ...]:
    """Return the tables whose rows are members of rows of this one."""
    return tuple(candidate for candidate in TABLES.values() if candidate.parent and candidate.parent[0] == table)
