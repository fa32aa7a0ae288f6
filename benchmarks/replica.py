"""A new client's complete copy of the database, beside reading and decoding the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.backends import BACKENDS, DEFAULT
from benchmarks.child import Job, once
from benchmarks.clusters import Shape
from benchmarks.measure import Block, Effort, Line, line, ratio_line, samples_of, size_line
from benchmarks.servers import filled, load
from benchmarks.usage import Figures, metered
from benchmarks.wire import DATABASE, Wire, request
from ovnk8s_topo.backends.schema import GLOBAL, GLOBAL_COLUMNS, wanted_columns
from ovnk8s_topo.nb.tables import TABLES

SHAPES = (
    Shape("layer3", 10, 1_000),
    Shape("layer3", 100, 10_000),
    Shape("layer3", 1_000, 100_000),
    Shape("layer2", 100, 100_000),
)
TINY = (Shape("layer3", 2, 6), Shape("layer2", 2, 6))

SLOW_MOST = 10_000
"""Ports above which waiting for an IDL is a waste."""

TARGET_RATIO, TARGET_BYTES = 2.0, 1_500
"""The issue's targets: times reading and decoding, and peak memory for each port; at the largest size."""

BYTES, IDL = "reading the bytes, json.loads", "bare IDL"
LOOKED_AT = f"{DEFAULT}, and every row looked at"


def blocks(effort: Effort) -> Iterator[Block]:
    """Measure this section."""
    for shape in TINY if effort.quick else SHAPES:
        names = [BYTES, *BACKENDS, LOOKED_AT, IDL]
        if shape.pods > SLOW_MOST:
            names = [name for name in names if name not in (IDL, "OvsdbNb")]
        with load(shape) as written, filled(written) as ovn:
            taken: dict[str, list[Figures]] = {name: [] for name in names}
            for _ in range(effort.turns(3 if shape.pods > SLOW_MOST else 5)):
                for name in names:
                    taken[name].append(once(Job("replica", ovn.nb, shape, mode=name)))
            yield Block(shape.title, tuple(_lines(shape, taken)))


def _lines(shape: Shape, taken: dict[str, list[Figures]]) -> Iterator[Line]:
    largest = shape.pods == SHAPES[-1].pods
    reference = samples_of(taken[BYTES], "wall_s")
    yield line(BYTES, reference)
    for name in (name for name in taken if name != BYTES):
        target = TARGET_RATIO if largest and name == DEFAULT else None
        yield ratio_line(name, samples_of(taken[name], "wall_s"), reference, "reading", at_most=target)
    for name, figures in taken.items():
        target_bytes = TARGET_BYTES if largest and name == DEFAULT else None
        peak = samples_of(figures, "peak").each(shape.pods)
        yield size_line(f"{name}, peak memory for each port", peak, at_most=target_bytes)


def ready(job: Job) -> Callable[[], Figures]:
    """Import; the round connects and reads."""
    works: dict[str, Callable[[], object]] = {
        BYTES: partial(_decoded, job.connection),
        IDL: partial(_idl, job.connection),
        LOOKED_AT: partial(_looked_at, job.connection),
        **{name: partial(_copied, job.connection, name) for name in BACKENDS},
    }
    _import_all(job.mode)
    return partial(metered, works[job.mode], Wire(job.connection).server)


def _import_all(mode: str) -> None:
    if mode == IDL:
        from benchmarks.contenders import idl_rows  # noqa: F401


def _columns() -> dict[str, list[str]]:
    return {**{name: list(wanted_columns(table)) for name, table in TABLES.items()}, GLOBAL: list(GLOBAL_COLUMNS)}


def bytes_of_copy(wire: Wire) -> bytes:
    """Return what a server answers to who asks for the rows that the library keeps a copy of."""
    asked = {table: [{"columns": columns}] for table, columns in _columns().items()}
    never = "00000000-0000-0000-0000-000000000000"
    return wire.read(request("monitor_cond_since", [DATABASE, "copy", asked, never]))


def _decoded(connection: str) -> Any:
    with Wire(connection) as wire:
        return json.loads(bytes_of_copy(wire))


def _idl(connection: str) -> Any:
    from benchmarks.contenders.idl_rows import connected

    return connected(connection, ((table, column) for table, columns in _columns().items() for column in columns))


def _copied(connection: str, backend: str) -> None:
    with BACKENDS[backend](connection) as nb:
        nb.snapshot(timeout_s=600)


def _looked_at(connection: str) -> None:
    with BACKENDS[DEFAULT](connection) as nb:
        for stored in nb.snapshot(timeout_s=600).rows.values():
            if not stored.uuid:
                raise AssertionError("a row without a uuid")
