"""What a node is to have for its attachments, as one wish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.nodeside.bridge_mappings import BridgeMapping, bridge_mappings_text
from ovnk8s_topo.nodeside.interface import BRIDGE, IFACE_ID, OvsInterface, is_ordinary, name_faults
from ovnk8s_topo.spec.network import MAX_MTU


@dataclass(frozen=True, slots=True, kw_only=True)
class GonePort:
    """A port that is to be on no bridge any more; its interface goes with it.

    name      of the port
    iface_id  only if one of its interfaces has this `iface-id`: names come from sandboxes, and may be another pod's by
              now. "": whatever it has, as OVN-Kubernetes does (pkg/cni/helper_linux.go, UnconfigureInterface)
    bridge    where it is
    """

    name: str
    iface_id: str = ""
    bridge: str = BRIDGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What attachments need of a node's Open_vSwitch database; what is not named here stays as it is.

    mappings    entries that `ovn-bridge-mappings` must have
    unmapped    entries that it must not have. The key goes with its last entry, but the chassis' own one stays, empty:
                without it ovn-controller would read the plain one
    interfaces  ports to plug in
    unplugged   ports to take out

    SpecError   a name or an `iface-id` twice, a port or an entry both wanted and not, a name or MTU that no interface
                can have, or mappings that contradict each other
    """

    mappings: tuple[BridgeMapping, ...] = ()
    unmapped: tuple[BridgeMapping, ...] = ()
    interfaces: tuple[OvsInterface, ...] = ()
    unplugged: tuple[GonePort, ...] = ()

    def __post_init__(self) -> None:
        problems = [*self._contradictions(), *self._bad_names(), *self._bad_mtus()]
        if problems:
            raise SpecError(problems)
        bridge_mappings_text(self.mappings)

    def _contradictions(self) -> Iterator[Problem]:
        gone = {port.name for port in self.unplugged}
        names = [wanted.name for wanted in self.interfaces]
        yield from _twice("interfaces.name", names)
        yield from _twice(f"interfaces.external_ids:{IFACE_ID}", (wanted.iface_id for wanted in self.interfaces))
        for name in sorted(gone.intersection(names)):
            yield Problem("unplugged", "must not name a port that is to be plugged in", given=repr(name))
        for mapping in self.mappings:
            if mapping in self.unmapped:
                yield Problem("unmapped", "must not hold an entry that is wanted", given=repr(str(mapping)))

    def _bad_names(self) -> Iterator[Problem]:
        for wanted in self.interfaces:
            # What Open vSwitch makes by itself, such as a port of DPDK, is no device of Linux.
            faults = name_faults(wanted.name) if is_ordinary(wanted.type) or not wanted.name else ()
            yield from (Problem("interfaces.name", why, given=repr(wanted.name)) for why in faults)

    def _bad_mtus(self) -> Iterator[Problem]:
        for wanted in self.interfaces:
            mtu = wanted.mtu_request
            if mtu is not None and not 1 <= mtu <= MAX_MTU:
                why = f"must be 1..{MAX_MTU}"
                yield Problem("interfaces.mtu_request", why, str(mtu), f"Interface {wanted.name}")


def _twice(path: str, names: Iterable[str]) -> Iterator[Problem]:
    for name, count in Counter(names).items():
        if name and count > 1:
            yield Problem(path, "must be there once only", given=repr(name))
