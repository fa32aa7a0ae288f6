"""From a connection's text to a backend."""

from __future__ import annotations

from pathlib import Path

from ovnk8s_topo.backends.contract import NbBackend
from ovnk8s_topo.errors import Problem, SpecError

REMOTES = ("unix:", "tcp:", "ssl:")


def nb_from_connection(
    connection: str,
    *,
    private_key: str | None = None,
    certificate: str | None = None,
    ca_cert: str | None = None,
) -> NbBackend:
    """Open the Northbound database that a text names.

    connection  ``memory:`` (empty, gone with the process), ``memory:FILE`` (kept in a JSON file), or what OVSDB
                calls an active connection method: ``unix:…``, ``tcp:…``, ``ssl:…``, several joined by commas
    the others  PEM files for ``ssl:``

    SpecError           the text is none of these, or a PEM file is missing or useless
    BackendError        the file is not a snapshot of ours
    """
    if connection.startswith("memory:"):
        from ovnk8s_topo.backends.memory import MemoryNb

        file = connection.removeprefix("memory:")
        return MemoryNb(file=Path(file)) if file else MemoryNb()
    if not all(remote.startswith(REMOTES) for remote in connection.split(",")):
        why = "must be memory:, memory:FILE, unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT, several joined by commas"
        raise SpecError([Problem("--nb", why, given=connection)])
    from ovnk8s_topo.backends.direct import DirectNb

    try:
        return DirectNb(connection, private_key=private_key, certificate=certificate, ca_cert=ca_cert)
    except (ValueError, OSError) as error:
        raise SpecError([Problem("--nb", str(error), given=connection)]) from error
