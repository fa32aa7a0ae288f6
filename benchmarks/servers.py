"""Fresh servers, and what is written to them: the operations of the library itself, made once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from benchmarks.clusters import OWNER, Shape
from benchmarks.wire import Wire, transaction
from ovnk8s_topo import Topology
from ovnk8s_topo.backends.operations import Operation
from ovnk8s_topo.backends.ops import encode
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.reconciler import Options, plan_from_snapshot
from ovnk8s_topo.testing import LocalOvn
from ovnk8s_topo.testing.tools import schema as schema_file


@dataclass(frozen=True, slots=True)
class Load:
    """The operations that write a shape to an empty database.

    file  where they are, as a JSON array
    rows  how many rows they insert
    size  bytes of the transaction
    """

    shape: Shape
    file: Path
    rows: int
    size: int

    @property
    def title(self) -> str:
        """What a table about it is called."""
        return f"{self.shape.title}: {self.rows:,} rows, {self.size / 1e6:.1f} MB"


@contextmanager
def load(shape: Shape) -> Iterator[Load]:
    """Write the operations for a shape to a file that lives as long as the block."""
    operations = bulk_operations(shape.topology())
    with TemporaryDirectory(prefix="ovn-bench-") as directory:
        file = Path(directory, "operations.json")
        file.write_text(json.dumps(operations))
        inserts = sum(operation["op"] == "insert" for operation in operations)
        yield Load(shape, file, inserts, len(transaction(operations)))


@contextmanager
def empty() -> Iterator[LocalOvn]:
    """Run a server with an empty database: file-backed, on a unix socket."""
    with LocalOvn() as ovn:
        yield ovn


@contextmanager
def filled(written: Load) -> Iterator[LocalOvn]:
    """Run a server whose database holds a shape already."""
    with LocalOvn() as ovn, Wire(ovn.nb) as wire:
        wire.transact(transaction(operations_in(written.file)))
        yield ovn


def operations_in(file: str | Path) -> list[Operation]:
    """Return the operations that a file of `Load` holds."""
    return cast(list[Operation], json.loads(Path(file).read_text()))


def bulk_operations(topology: Topology) -> list[Operation]:
    """Return what the library sends to make a topology of an empty database."""
    nothing = Snapshot.of([])
    return guarded(plan_from_snapshot(topology, nothing, OWNER, Options()).changes, nothing)


def guarded(changes: ChangeSet, actual: Snapshot) -> list[Operation]:
    """Return changes as operations for a server of this machine."""
    document = json.loads(schema_file("ovn-nb").read_text())
    return encode(changes, actual, Schema.from_json(document))
