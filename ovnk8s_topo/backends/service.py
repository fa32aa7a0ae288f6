"""What a server tells of itself and its cluster, in its database `_Server` (ovsdb(7), "Service Models").

Law: rows in, `Unfit` out where the server is of no use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ovnk8s_topo.backends.replica_rows import row_change
from ovnk8s_topo.backends.schema import DATABASE

SERVER = "_Server"
SERVER_COLUMNS = ("name", "model", "connected", "leader", "cid", "index")


class Unfit(Exception):
    """The server is of no use now; the text says why. Another one may be."""


class Service:
    """What is known of the server that we are connected to, and of its cluster.

    leader_only  a cluster's followers are of no use
    """

    def __init__(self, *, leader_only: bool) -> None:
        self._leader_only = leader_only
        self._databases: dict[str, dict[str, Any]] = {}
        self._newest: tuple[Any, int] = (None, 0)

    def forget(self) -> None:
        """Know nothing of the next server but how far its cluster is."""
        self._databases = {}

    def heard(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Take in what the server tells, as <table-updates2> (ovsdb-server(7) section 4.1.14).

        Unfit  this server is of no use
        """
        for uuid, update in tables.get("Database", {}).items():
            change = row_change("Database", uuid, update)
            if change.kind == "delete":
                self._databases.pop(uuid, None)
            else:
                before = self._databases.get(uuid, {}) if change.kind == "modify" else {}
                self._databases[uuid] = {**before, **change.row}
        self._check()

    def _check(self) -> None:
        ours = next((row for row in self._databases.values() if row.get("name") == DATABASE), None)
        if ours is None:
            raise Unfit(f"no database {DATABASE}")
        if ours.get("model") in ("clustered", "relay") and not ours.get("connected"):
            raise Unfit("not connected to the other servers of its cluster")
        if ours.get("model") == "clustered":
            if self._leader_only and not ours.get("leader"):
                raise Unfit("not the leader of its cluster")
            self._check_age(ours.get("cid"), ours.get("index"))

    def _check_age(self, cluster: Any, index: Any) -> None:
        """Refuse a server that is behind what we have seen of the same cluster: its rows would go back in time."""
        number = index if isinstance(index, int) else 0
        if self._newest[0] == cluster and number < self._newest[1]:
            raise Unfit("behind what another server of its cluster has told")
        self._newest = (cluster, number)
