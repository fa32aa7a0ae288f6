"""Ids and tunnel keys by owner.

Law: an id has at most one owner; what an owner holds comes first in every answer to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ovnk8s_topo.ipam.numbers import FreeNumbers
from ovnk8s_topo.ipam.refusals import IdRefused

NETWORK_IDS = (1, 4095)
"""Ids of networks; 0 is the default network (OVN-Kubernetes networkmanager/nad_controller.go)."""

NODE_IDS = (2, 5000)
"""Ids of nodes (clustermanager/node_allocation_controller.go)."""

POD_TUNNEL_IDS = (1, 32766)
"""Tunnel ids of pods: the space of a Logical_Switch_Port's `requested-tnl-key` (clustermanager/pod/allocator.go)."""

POD_TUNNEL_IDS_WITH_TRANSIT_ROUTER = (10, 32766)
"""The same, where the cluster uses the transit router: 1 to 9 are held back, on secondary networks too."""

TUNNEL_KEYS = (16715779, 16777215)
"""The pool of datapath tunnel keys that belong to no network id (allocator/id/tunnelkeyallocator.go)."""

_TRANSIT_SWITCH_KEY_BASE = 16711683
_DERIVED_IDS = 4096


class IdPool:
    """Give out the integers `first`..`last`, round robin, several to an owner if asked for.

    Follows OVN-Kubernetes go-controller/pkg/allocator/id/allocator.go: a released id is given again only after
    the wrap; reserving does not move the cursor.
    """

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last
        self._cursor = first
        self._free = FreeNumbers([(first, last)] if first <= last else [])
        self._held: dict[str, tuple[int, ...]] = {}
        self._owners: dict[int, str] = {}

    @property
    def free(self) -> int:
        """How many ids can still be given."""
        return self._free.count

    def allocate(self, owner: str, count: int = 1) -> tuple[int, ...]:
        """Bring what `owner` holds to `count` ids and return them all, those it held before first.

        IdRefused  it holds more than that, or fewer are left; nothing is given
        """
        held = self.ids_of(owner)
        if len(held) > count:
            why = f"the resource {owner} already has more ids allocated {list(held)} than requested {count}"
            raise IdRefused(upstream=why)
        if count - len(held) > self.free:
            detail = f"{count - len(held)} more wanted, {self.free} of {self._first}-{self._last} left"
            raise IdRefused(detail, upstream=f"failed to allocate the id for the resource {owner}")
        self._hold(owner, (*held, *(self._pop() for _ in range(count - len(held)))))
        return self.ids_of(owner)

    def reserve(self, owner: str, ids: Sequence[int]) -> None:
        """Give `owner` these very ids, all or none; exactly what it holds, in that order, is fine.

        IdRefused  an id is out of range or twice in `ids`, belongs to another (named), or `owner` holds others
        """
        held = self.ids_of(owner)
        if held and held != tuple(ids):
            why = f"can't reserve ids {list(ids)} for the resource {owner}. It is already allocated with different ids"
            raise IdRefused(upstream=f"{why} {list(held)}")
        for place, number in enumerate(ids):
            self._check(number, owner, again=number in ids[:place])
        self._hold(owner, tuple(ids))

    def release(self, owner: str) -> tuple[int, ...]:
        """Give back all ids of `owner` and return them; () if it holds none."""
        held = self._held.pop(owner, ())
        for number in held:
            del self._owners[number]
            if self._covers(number):
                self._free.add(number, number)
        return held

    def ids_of(self, owner: str) -> tuple[int, ...]:
        """Return what `owner` holds, in the order in which it came; () if nothing."""
        return self._held.get(owner, ())

    def owner_of(self, number: int) -> str | None:
        """Return who holds an id, None if nobody does."""
        return self._owners.get(number)

    def _covers(self, number: int) -> bool:
        return self._first <= number <= self._last

    def _pop(self) -> int:
        number = self._free.pop(self._cursor)
        if number is None:
            number = self._free.pop(self._first)
        assert number is not None, "allocate has counted"
        self._cursor = number + 1
        return number

    def _hold(self, owner: str, ids: tuple[int, ...]) -> None:
        if not ids:
            return
        self._held[owner] = ids
        for number in ids:
            self._owners[number] = owner
            self._free.remove(number, number)

    def _check(self, number: int, owner: str, *, again: bool) -> None:
        holder = self._owners.get(number, owner)
        if holder != owner or again:
            raise IdRefused(f"it belongs to {holder}", upstream=f"id {number} is already reserved by another resource")
        if not self._covers(number):
            detail = f"it is not one of {self._first}-{self._last}"
            raise IdRefused(detail, upstream=f"id {number} is already reserved by another resource")


class TunnelKeys(IdPool):
    """The datapath tunnel keys of networks: the first follows from the network id, the others come from a pool.

    Follows OVN-Kubernetes go-controller/pkg/allocator/id/tunnelkeyallocator.go.
    """

    def __init__(self) -> None:
        super().__init__(*TUNNEL_KEYS)

    def allocate_for(self, network: str, network_id: int, count: int) -> tuple[int, ...]:
        """Bring what `network` holds to `count` keys and return them; the one that its id implies comes first.

        Networks with an id of 4096 or more have no such key and take all from the pool.

        IdRefused  as for `allocate`, or another network holds the implied key; nothing is given
        """
        derived = transit_switch_key(network_id)
        if derived is None or self.ids_of(network) or not count:
            return self.allocate(network, count)
        self._check(derived, network, again=False)
        if count - 1 > self.free:
            raise IdRefused(
                f"{count - 1} more wanted, {self.free} left",
                upstream=f"failed to allocate the id for the resource {network}",
            )
        self._hold(network, (derived,))
        return self.allocate(network, count)

    def _check(self, number: int, owner: str, *, again: bool) -> None:
        implied = 0 <= number - _TRANSIT_SWITCH_KEY_BASE < _DERIVED_IDS
        if not implied or again or self.owner_of(number) not in (None, owner):
            super()._check(number, owner, again=again)


def transit_switch_key(network_id: int) -> int | None:
    """Return the tunnel key of a network's transit switch, 16711683 + id; None from id 4096 on."""
    return _TRANSIT_SWITCH_KEY_BASE + network_id if 0 <= network_id < _DERIVED_IDS else None
