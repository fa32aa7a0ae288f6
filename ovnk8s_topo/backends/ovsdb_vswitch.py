"""A node's live Open_vSwitch database, through python-ovs and ovsdbapp."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ovnk8s_topo.backends.operations import Operation
from ovnk8s_topo.backends.ovsdb_client import OvsdbClient
from ovnk8s_topo.backends.ovsdb_command import DecisionCommand
from ovnk8s_topo.backends.ovsdb_replica import CONVERTERS, Copied
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.backends.vswitch_ops import SHAPES, encode_wiring
from ovnk8s_topo.nodeside import (
    BridgeRow,
    InterfaceRow,
    PortRow,
    VswitchRows,
    Wiring,
    WiringChanges,
    wiring_changes,
)

LOG = logging.getLogger(__name__)


def read_rows(tables: Mapping[str, Any]) -> VswitchRows:
    """Return the rows that an IDL holds (`Idl.tables`); what it does not watch reads as empty."""
    root = next(_read(tables, "Open_vSwitch"), {})
    return VswitchRows(
        **root,
        bridges={values["uuid"]: BridgeRow(**values) for values in _read(tables, "Bridge")},
        ports={values["uuid"]: PortRow(**values) for values in _read(tables, "Port")},
        interfaces={values["uuid"]: InterfaceRow(**values) for values in _read(tables, "Interface")},
    )


def _read(tables: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    if name in tables:
        shapes = {column: shape for column, shape in SHAPES[name].items() if column in tables[name].columns}
        for row in tables[name].rows.values():
            if row._data is not None:  # None: made by the transaction that is being put together
                values = {column: CONVERTERS[shape](row._data[column]) for column, shape in shapes.items()}
                yield {"uuid": str(row.uuid), **values}


VSWITCH = Copied("Open_vSwitch", {table: tuple(shapes) for table, shapes in SHAPES.items()}, read_rows)


class WiringCommand(DecisionCommand[VswitchRows, WiringChanges]):
    """An ovsdbapp command that makes what is missing of a wish: for `ovsdbapp.schema.open_vswitch`.

    api     the ovsdbapp API, e.g. `impl_idl.OvsdbIdl`
    wanted  what the node is to have

    See `DecisionCommand`; `nodeside.wiring_changes` and `vswitch_ops.encode_wiring` say what it raises.
    """

    copied = VSWITCH

    def __init__(self, api: Any, wanted: Wiring) -> None:
        super().__init__(api, lambda actual: wiring_changes(actual, wanted))

    def encode(self, changes: WiringChanges, actual: VswitchRows, schema: Schema) -> list[Operation]:
        """Return the operations; see `vswitch_ops.encode_wiring`."""
        return encode_wiring(changes, schema)


@dataclass(frozen=True, slots=True)
class Wired:
    """What `OvsdbVswitch.apply` did.

    changes   what was written, empty if there was nothing to do (then nothing was sent at all)
    attempts  how often was decided, at least 1
    """

    changes: WiringChanges
    attempts: int


class OvsdbVswitch(OvsdbClient[VswitchRows]):
    """A node's Open_vSwitch database on a live ovsdb-server, mostly ``unix:/run/openvswitch/db.sock``.

    What it is made from, and how that can fail, is said at `OvsdbClient`. One object is one connection; two objects
    share nothing. Every call has a deadline, `timeout_s` in seconds.
    """

    copied = VSWITCH

    def rows(self, *, timeout_s: float) -> VswitchRows:
        """Return the rows that attachments touch, at one point in time.

        BackendUnavailable  no complete copy by the deadline
        """
        return self._read(timeout_s)

    def apply(self, wanted: Wiring, *, timeout_s: float) -> Wired:
        """Write what is missing of a wish, in one transaction, all or nothing; a second call sends nothing.

        Each attempt reads, decides (`nodeside.wiring_changes`) and sends with guards; when a guard fails, because
        another writer was faster, the next one starts from what is there then. It does not wait for ovs-vswitchd.

        SpecError, NodeNotReady, OwnershipError  see `nodeside.wiring_changes`; nothing was written
        RowError            see `vswitch_ops.encode_wiring`; nothing was written
        ConflictError       guards kept failing until the deadline
        BackendUnavailable  not connected, nothing was sent
        OutcomeUnknown      sent, and no answer by the deadline; it may or may not have been applied
        """
        started = time.monotonic()
        done = self._transact(WiringCommand(None, wanted), timeout_s)
        if not done.changes.is_empty:
            took_ms = (time.monotonic() - started) * 1000
            LOG.info("wiring: %d changes, %d attempts, %.0f ms", len(done.changes.changes), done.attempts, took_ms)
        return Wired(done.changes, done.attempts)
