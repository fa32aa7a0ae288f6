"""`external_ids:ovn-pf-encap-ip-mapping` of Open_vSwitch: ``<uplink>:<tunnel address>[,...]``, for several NICs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ovnk8s_topo.errors import Problem
from ovnk8s_topo.nodeside.entries import Entry, entries_from_text
from ovnk8s_topo.spec.go_json import TextError

ENCAP_IPS = "ovn-pf-encap-ip-mapping"


def encap_ip_of_uplink(text: str | None, uplink: str) -> str:
    """Return the tunnel address of an uplink, for `encap-ip` of an interface; "" if it has none of its own.

    text    the mapping, None or "" if there is none; of two entries for one uplink the last counts
    uplink  the physical function's interface on the node

    TextError  ``bad ovn-pf-encap-ip-mapping config: <text>``, for each entry without exactly one colon; hence no IPv6

    As in ovn-kubernetes pkg/cni/helper_linux.go, getPfEncapIP.
    """
    entries = [*entries_from_text(text)]
    faults = [*_malformed(entries, text or "")]
    if faults:
        raise TextError(faults)
    found = {entry.parts[0]: entry.parts[1] for entry in entries}
    return found.get(uplink, "")


def _malformed(entries: Iterable[Entry], text: str) -> Iterator[tuple[Problem, int]]:
    for entry in entries:
        if len(entry.parts) != 2:
            why = f"bad {ENCAP_IPS} config: {text}"
            yield Problem(f"{ENCAP_IPS}[{entry.index}]", why, given=repr(entry.text)), entry.offset
