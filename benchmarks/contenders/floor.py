"""The floor: the operations of the library as bytes made before, in one transaction, on a bare socket."""

from __future__ import annotations

from functools import partial

from benchmarks.child import Job
from benchmarks.servers import operations_in
from benchmarks.usage import Figures, metered
from benchmarks.wire import Wire, transaction


def ready(job: Job) -> partial[Figures]:
    """Make the bytes and connect; the round sends them and waits for the reply."""
    sent, wire = transaction(operations_in(job.operations)), Wire(job.connection)
    return partial(metered, partial(wire.transact, sent), wire.server)
