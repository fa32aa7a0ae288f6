"""A Northbound database in memory: for tests, for the first steps, and for the command's `--nb memory:FILE`.

Law: it answers as ovsdb-server does (`engine`), and it fails on demand as networks do (`faults`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

from ovnk8s_topo.backends import snapshot_file
from ovnk8s_topo.backends.batched import batches_of, joined, told_with, whole
from ovnk8s_topo.backends.contract import Committed, Cut, Decide, Level, Work, idle
from ovnk8s_topo.backends.draft import Draft
from ovnk8s_topo.backends.engine import Database, Operation
from ovnk8s_topo.backends.faults import Fault, Faults
from ovnk8s_topo.backends.operations import confirmation
from ovnk8s_topo.backends.ops import encode
from ovnk8s_topo.backends.reading import Reader
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.backends.snapshot_file import Dump
from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.errors import BackendUnavailable, ConflictError, NotReached, OutcomeUnknown
from ovnk8s_topo.nb.rowset import Snapshot

GLOBAL_UUID = "5b1c9d55-0c5d-4f0e-8a7e-6f766e6b3873"
"""The uuid of the one row of NB_Global, which `ovn-nbctl init` makes on a real server."""

_SCHEMA = Schema.full()
_INTEGRITY_ATTEMPTS = 3
"""How often a broken reference may be somebody else's change, as on a live database."""

_Results = list[dict[str, Any] | None]


class MemoryNb:
    """A Northbound database in memory; see `contract.NbBackend` for what its methods promise.

    file    keep the content in this JSON file: read now if it exists, written in one step with every change.
            One process at a time: what another one writes to the file meanwhile is lost.
    faults  what shall go wrong, and when

    transactions  how many transactions `commit` has sent, refused ones included

    There is no northd and no chassis: as soon as somebody raises NB_Global.nb_cfg, sb_cfg and hv_cfg follow. Locks
    (`assert`) belong to connections and are never held. Objects may be used from several threads.

    BackendError        the file is not a snapshot; the text says path, line and column
    BackendUnavailable  the file cannot be read, or, later, not be written; then the change is undone
    """

    def __init__(self, *, file: str | Path | None = None, faults: Faults | None = None) -> None:
        self.transactions = 0
        self._file = None if file is None else Path(file)
        self._faults = faults or Faults()
        self._lock = threading.RLock()
        self._closed = self._keeping = False
        self._database = Database(react=_confirm, journal=self._save)
        self._reader = Reader(self._database.store)
        self._database.listeners.append(self._reader.changed)
        if self._file is not None:
            snapshot_file.read_file(self._database, self._file)
        self._begin()

    @classmethod
    def load(cls, document: Dump, *, faults: Faults | None = None) -> Self:
        """Return a database with the content that `dump` gave.

        BackendError  the document is of another format, or holds what ovsdb-server would not take
        """
        loaded = cls(faults=faults)
        loaded._database.transact([{"op": "delete", "table": "NB_Global", "where": []}])
        snapshot_file.fill(loaded._database, document)
        loaded._begin()
        return loaded

    def _begin(self) -> None:
        if not self._database.store.rows["NB_Global"]:
            self._database.transact([{"op": "insert", "table": "NB_Global", "row": {}, "uuid": GLOBAL_UUID}])
        self._keeping = True
        self._mine = self._reader.snapshot()

    def dump(self) -> Dump:
        """Return the whole content as JSON; see `snapshot_file.Dump`. Equal contents give equal documents."""
        with self._lock:
            return snapshot_file.dump(self._database)

    def transact(self, ops: Sequence[Operation]) -> _Results:
        """Run a raw transaction, as another writer would; see `engine.Database.transact`."""
        with self._lock:
            return self._database.transact(ops)

    # What the contract promises ----------------------------------------------------------------------------------

    def snapshot(self, *, timeout_s: float) -> Snapshot:
        """Return all rows of our tables; see `contract.NbBackend.snapshot`."""
        return self._read(self._faults.on_read())

    def commit(
        self, decide: Decide, *, timeout_s: float, confirm: bool = False, cut: Cut | None = None, meanwhile: Work = idle
    ) -> Committed:
        """Write what `decide` returns; see `contract.NbBackend.commit`."""
        deadline = time.monotonic() + timeout_s
        attempts = broken = 0
        written: list[ChangeSet] = []
        while True:
            attempts += 1
            with told_with(written):
                outcome = self._attempt(decide, confirm, attempts, cut, meanwhile, written)
                if isinstance(outcome, Committed):
                    return outcome
                broken += bool(outcome.attempts)
                if time.monotonic() >= deadline or (outcome.attempts and broken >= outcome.attempts):
                    raise ConflictError(f"refused within {timeout_s:g} s, {attempts} attempts: {outcome.text}")

    def wait(self, level: Level, nb_cfg: int, *, timeout_s: float) -> None:
        """Return at once, or raise at once: nobody can confirm a number later that nobody has set.

        NotReached  nb_cfg has not come so far
        """
        with self._lock:
            reached = self._reader.counter(f"{level}_cfg")
        if reached < nb_cfg:
            raise NotReached(f"{level}_cfg is {reached}, not {nb_cfg}")

    def close(self) -> None:
        """Refuse everything from now on but `dump` and `transact`. Calling it again is no error."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # How ---------------------------------------------------------------------------------------------------------

    def _attempt(
        self,
        decide: Decide,
        confirm: bool,
        attempts: int,
        cut: Cut | None,
        meanwhile: Work,
        written: list[ChangeSet],
    ) -> Committed | _Refusal:
        fault = self._faults.on_commit()
        actual = self._read(fault)
        changes = decide(actual)
        parts = batches_of(changes, cut, actual, _SCHEMA) if cut else whole(changes)
        if written and confirm and not parts:
            # Nothing is left, but the batch that was to ask for a confirmation did not get through.
            parts = (ChangeSet(),)
        results: _Results = []
        shown_at = 0
        for part in parts:
            operations = cast(list[Operation], encode(part, actual, _SCHEMA, checked=cut is not None))
            if confirm and part is parts[-1]:
                operations += confirmation()
            if not cut:
                meanwhile()
            results, shown_at = self._exchange(operations, actual, fault)
            if refusal := _refusal(results):
                return refusal
            fault = None  # it has come to pass
            written.append(part)
        done = joined(written) if written else changes
        return Committed(done, attempts, _nb_cfg(results) if confirm and parts else 0, shown_at)

    def _read(self, fault: Fault | None) -> Snapshot:
        if self._closed:
            raise BackendUnavailable("the database in memory was closed")
        if fault == "unavailable":
            self._faults.fired[fault] += 1
            raise BackendUnavailable("cannot connect (injected)")
        with self._lock:
            actual = self._reader.snapshot()
            if fault == "delayed_update" and self._mine.serial != actual.serial:
                self._faults.fired[fault] += 1
                return self._mine
            return actual

    def _exchange(self, operations: list[Operation], actual: Snapshot, fault: Fault | None) -> tuple[_Results, int]:
        """Send the operations, through whatever goes wrong; return the answer, and the state that they have led to."""
        if fault == "meddle":
            self._faults.meddle(self.transact)
        if fault in ("meddle", "request_lost", "reply_lost"):
            self._faults.fired[fault] += 1
        if fault == "request_lost":
            self.transactions += 1
            raise OutcomeUnknown("no answer (injected: the request was lost)")
        answer = self._send(operations, actual)
        if fault == "reply_lost":
            raise OutcomeUnknown("no answer (injected: the reply was lost)")
        return answer

    def _send(self, operations: list[Operation], actual: Snapshot) -> tuple[_Results, int]:
        with self._lock:
            self.transactions += 1
            # A state begins when somebody looks, so that what others did by now is not one with what is sent.
            is_current = self._reader.snapshot().serial == actual.serial
            results = self._database.transact(operations)
            if _refusal(results) is not None:
                return results, 0
            # What this object wrote it reads, however late other writers' changes come in.
            self._mine = self._reader.snapshot()
            return results, self._mine.serial if is_current else 0

    def _save(self) -> None:
        if self._file is not None and self._keeping:
            snapshot_file.write_file(self._database, self._file)


def _confirm(draft: Draft) -> None:
    """Do northd's and the chassis' part: confirm nb_cfg in the very transaction that raises it."""
    for place, before in list(draft.before.items()):
        after = draft.after(place) if place.table == "NB_Global" else None
        if before and after and before["nb_cfg"] != after["nb_cfg"]:
            for column in ("sb_cfg", "hv_cfg"):
                draft.assign(place, column, after["nb_cfg"])


class _Refusal(NamedTuple):
    """Why a transaction was not applied.

    text      what the server said
    attempts  how many refusals of this kind may be a race; 0 for no limit but the deadline
    """

    text: str
    attempts: int = 0


def _refusal(results: _Results) -> _Refusal | None:
    """Return what the results say against the transaction, None if it was applied (RFC 7047 section 4.1.3)."""
    fault: Mapping[str, Any] | None = next((result for result in results if result and "error" in result), None)
    if fault is None:
        return None
    error, details = fault["error"], fault["details"]
    text = f"{error}: {details}"
    if error in ("timed out", "duplicate uuid") or "identical values" in details:
        return _Refusal(text)
    return _Refusal(text, _INTEGRITY_ATTEMPTS if error == "referential integrity violation" else 1)


def _nb_cfg(results: _Results) -> int:
    selected = results[-1] or {}
    return cast(int, selected["rows"][0]["nb_cfg"])
