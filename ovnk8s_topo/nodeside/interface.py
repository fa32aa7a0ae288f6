"""The port on br-int that stands for one attachment of a pod.

Sources: ovn-kubernetes pkg/cni/helper_linux.go, ConfigureOVS and setupInterface; for the early form
bin/ovn-k8s-cni-overlay of cba7204e (2016).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.planner import names
from ovnk8s_topo.results import AttachmentResult

BRIDGE = "br-int"
DEFAULT = "default"

IFACE_ID = "iface-id"
NETWORK = "k8s.ovn.org/network"
NAD = "k8s.ovn.org/nad"

MAX_NAME = 15
"""Bytes of an interface's name: IFNAMSIZ of Linux, less the end."""

_UNFIT = re.compile(r"\.{1,2}|.*[\s/:].*", re.DOTALL)
_SANDBOX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What there is beside a pair of virtual interfaces when a virtual function or subfunction is plugged in.

    netdev    name of the function's interface
    encap_ip  tunnel address of its uplink, see `encap_ip_of_uplink`; "": the node's
    vfio      whether the function is handed to a virtual machine
    dpdk      whether its representor is polled by Open vSwitch, whose bridge then has the datapath `netdev`
    """

    netdev: str = ""
    encap_ip: str = ""
    vfio: bool = False
    dpdk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OvsInterface:
    """A port with one interface of the same name, as Open_vSwitch shall hold them.

    name          on the node
    external_ids  of the interface, in the order in which OVN-Kubernetes writes them; other keys there stay
    removed_ids   keys of the interface that must not stay
    other_config  of the port; other keys there stay
    type          "": the default, ``dpdk``
    mtu_request   bytes; None: not asked for, the interface in the pod has its MTU from the CNI plug-in
    bridge        where the port is; one of that name on another bridge is never moved
    """

    name: str
    external_ids: Mapping[str, str]
    removed_ids: tuple[str, ...] = ()
    other_config: Mapping[str, str] = field(default_factory=dict)
    type: str = ""
    mtu_request: int | None = None
    bridge: str = BRIDGE

    @property
    def iface_id(self) -> str:
        """Name of the logical port for which it stands; "" if it names none."""
        return self.external_ids.get(IFACE_ID, "")

    def merged_external_ids(self, present: Mapping[str, str]) -> dict[str, str]:
        """Return what the interface's external_ids become."""
        return merged_external_ids(present, self.external_ids, self.removed_ids)


def merged_external_ids(
    present: Mapping[str, str], wanted: Mapping[str, str], removed: Iterable[str] = ()
) -> dict[str, str]:
    """Return a map with the wanted keys set and the removed ones gone; all others stay, such as `ovn-installed`.

    Holds for every map of Open_vSwitch: ovn-kubernetes pkg/libovsdb/ops/vswitchdb.go.
    """
    gone = frozenset(removed)
    return {key: value for key, value in present.items() if key not in gone} | dict(wanted)


def is_ordinary(kind: str) -> bool:
    """Whether an interface's type says that it is a network device; both words do: ovs-vswitchd.conf.db(5)."""
    return kind in ("", "system")


def name_faults(name: str) -> Iterator[str]:
    """Yield why an interface cannot have this name: net/core/dev.c of Linux, dev_valid_name."""
    if not 0 < len(name.encode(errors="surrogatepass")) <= MAX_NAME:
        yield f"must have 1..{MAX_NAME} characters, or bytes in UTF-8"
    if _UNFIT.fullmatch(name):
        yield "must not be `.` or `..`, and must not hold blanks, `/` or `:`"


def host_interface_name(sandbox: str, pod_interface_index: int | None = None) -> str:
    """Name the node's end of a pair of virtual interfaces; at most 15 characters.

    sandbox              id of the pod's sandbox; its beginning is used
    pod_interface_index  ifindex of the pod's end; None on the default network, and in the early form

    SpecError  the sandbox's id is no name for an interface, or the index is below 1

    Pairs of one pod differ by the index alone. Of a device the representor's name counts, which the kernel gives.
    """
    if not _SANDBOX.fullmatch(sandbox):
        why = "must start with a letter or digit and consist of letters, digits, `_`, `.` and `-`"
        raise SpecError([Problem("sandbox", why, given=repr(sandbox))])
    if pod_interface_index is not None and pod_interface_index < 1:
        raise SpecError([Problem("pod_interface_index", "must be at least 1", given=str(pod_interface_index))])
    suffix = "" if pod_interface_index is None else f"_{pod_interface_index}"
    return sandbox[: MAX_NAME - len(suffix)] + suffix


def interface_from_result(
    result: AttachmentResult,
    *,
    name: str,
    port: str = "",
    uid: str = "",
    sandbox: str = "",
    pod_interface: str = "",
    device: Device | None = None,
    early: bool = False,
) -> OvsInterface:
    """Work out the port of an attachment.

    name           of the interface on the node, see `host_interface_name`
    port           name of the logical port, which `iface-id` must equal; "": the name that OVN-Kubernetes gives it
    uid            of the pod; must equal the logical port's `options:iface-id-ver`, else ovn-controller does not bind
                   it; "": not written, for a logical port that has none
    sandbox        the whole id; "": not written
    pod_interface  name in the pod, which tells uses of one definition apart; "": not written, as up to 2024
    early          whether to write what the CNI plug-in of 2016 did, which knew one network and one address: no uid,
                   sandbox, device or network, ``<namespace>_<pod>`` for `iface-id`, and `ip_address`

    SpecError  Linux takes no interface of this name, or there are several addresses in the early form
    """
    faults = [Problem("name", why, given=repr(name), subject=result.pod) for why in name_faults(name)]
    if faults:
        raise SpecError(faults)
    if early:
        return OvsInterface(name=name, external_ids=_early_ids(result, port))
    default, dpdk = result.network == DEFAULT, bool(device and device.dpdk)
    ids = [
        *_identity(result, port, uid, sandbox),
        ("pod-if-name", pod_interface),
        *_device_ids(result, device or Device()),
        *(() if default else ((NETWORK, result.network), (NAD, result.nad_key))),
    ]
    return OvsInterface(
        name=name,
        # The MAC is always written, even if there is none.
        external_ids={key: value for key, value in ids if value or key == "attached_mac"},
        removed_ids=(NETWORK, NAD) if default else (),
        other_config={"transient": "true"},
        type="dpdk" if dpdk else "",
        mtu_request=result.mtu if dpdk else None,
    )


def _identity(result: AttachmentResult, port: str, uid: str, sandbox: str) -> Iterator[tuple[str, str]]:
    yield "attached_mac", result.mac
    yield IFACE_ID, port or _port_name(result)
    yield "iface-id-ver", uid
    yield "sandbox", sandbox


def _device_ids(result: AttachmentResult, device: Device) -> Iterator[tuple[str, str]]:
    yield "encap-ip", device.encap_ip
    yield "ip_addresses", ",".join(result.addresses)
    yield "vf-netdev-name", device.netdev
    yield "vf-is-vfio", "true" if device.vfio else ""


def _port_name(result: AttachmentResult) -> str:
    namespace, _, pod = result.pod.partition("/")
    if result.network == DEFAULT:
        return names.pod_suffix(namespace, pod)
    return names.pod_port(result.nad_key, namespace, pod)


def _early_ids(result: AttachmentResult, port: str) -> dict[str, str]:
    if len(result.addresses) > 1:
        why = "the early form holds one address"
        raise SpecError([Problem("addresses", why, given=", ".join(result.addresses), subject=result.pod)])
    namespace, _, pod = result.pod.partition("/")
    ids = {"attached_mac": result.mac, IFACE_ID: port or names.pod_suffix(namespace, pod)}
    return ids | ({"ip_address": result.addresses[0]} if result.addresses else {})
