"""Ours: from the description, as a value, to the confirmed transaction."""

from __future__ import annotations

from functools import partial

from benchmarks.backends import BACKENDS, MODES
from benchmarks.child import Job
from benchmarks.clusters import OWNER
from benchmarks.usage import Figures, metered
from benchmarks.wire import Wire
from ovnk8s_topo import Reconciler


def ready(job: Job) -> partial[Figures]:
    """Describe, and connect to the empty database; the round plans, sends and waits for the reply."""
    topology = job.shape.topology()
    reconciler = Reconciler(BACKENDS[job.backend](job.connection), owner=OWNER, timeout_s=600)
    reconciler.nb.snapshot(timeout_s=60)
    apply = partial(reconciler.apply, topology, **MODES[job.mode])
    return partial(metered, apply, Wire(job.connection).server)
