"""Makes docs/reference/nb-rows.md by planning small topologies and changing one field of them at a time.

So the document says what the code does: which fields reach a column is observed, not written down by hand. Written
by hand are the rules' sources; a column without one, or a source without a column, is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ovnk8s_topo.nb.columns import Value
from ovnk8s_topo.nb.rowset import RowSet
from ovnk8s_topo.nb.tables import TABLES, Row
from ovnk8s_topo.planner import desired_from_topology
from ovnk8s_topo.planner.style import STYLES
from ovnk8s_topo.render.text import text_from_value
from ovnk8s_topo.spec import Attachment, Cluster, Given, Layer2, Layer3, Localnet, Node, Pod, Style, Topology

Fields = Mapping[str, Any]
"""The fields of one sample, by object: network, node, pod, attachment, given, cluster."""

Cell = tuple[str, str]
"""A kind of row, and one of its columns; of a map, ``column:key``."""

NODE = {"name": "work-1", "chassis_id": "c0ffee"}
OTHER_NODE = Node(name="work-2", chassis_id="facade")
POD = {"namespace": "shop", "name": "web", "uid": "4711", "node": "work-1"}
BASE: dict[str, dict[str, Any]] = {"node": NODE, "pod": POD, "attachment": {"name": "nad"}, "cluster": {}}

NETWORKS: dict[str, type[Layer3] | type[Layer2] | type[Localnet]] = {
    "layer3": Layer3,
    "layer2": Layer2,
    "localnet": Localnet,
}

SAMPLES: dict[str, list[dict[str, Any]]] = {
    "layer3": [{"name": "my-net", "nads": "shop/nad", "subnets": "10.33.0.0/16/24,fd01::/48"}],
    "layer2": [
        {"name": "my-net", "nads": "shop/nad", "subnets": "10.22.0.0/16"},
        {"name": "my-net", "nads": "shop/nad", "subnets": "fd02::/64"},
    ],
    "localnet": [
        {"name": "my-net", "nads": "shop/nad", "subnets": "10.44.0.0/16", "vlan_id": 100},
        {"name": "my-net", "nads": "shop/nad", "subnets": "fd03::/64"},
    ],
}
"""The networks whose rows are shown; of several, each column is shown from the first one that has it."""

_EVERYWHERE: dict[str, dict[str, Any]] = {
    "name": {"network": {"name": "other.net"}},
    "netAttachDefName": {"network": {"nads": "shop/other"}, "attachment": {"name": "other"}},
    "mtu": {"network": {"mtu": 1300}},
    "Cluster.mtu": {"cluster": {"mtu": 1300}},
    "Node.name": {"node": {"name": "work-3"}, "pod": {"node": "work-2"}},
    "Node.chassis_id": {"node": {"chassis_id": "decade"}},
    "Pod.namespace": {"pod": {"namespace": "lab"}, "attachment": {"namespace": "shop"}},
    "Pod.name": {"pod": {"name": "db"}},
    "Pod.uid": {"pod": {"uid": "4712"}},
    "Pod.labels": {"pod": {"labels": {"app": "web"}}},
    "Pod.node": {"pod": {"node": "work-2"}},
    "Attachment.mac": {"attachment": {"mac": "02:00:00:00:00:01"}},
    "Attachment.interface": {"attachment": {"interface": "eth7"}},
    "Attachment.default_route": {"attachment": {"default_route": ("10.0.0.1",)}},
    "Given.mac": {"given": {"mac": "02:00:00:00:00:02"}},
}
_FLAT: dict[str, dict[str, Any]] = {
    "excludeSubnets": {"network": {"exclude_subnets": "{first}"}},
    "allowPersistentIPs": {"network": {"allow_persistent_ips": True}},
    "Attachment.ips": {"network": {"subnets": ""}, "attachment": {"ips": ("192.0.2.9/24",)}},
}
CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "layer3": _EVERYWHERE
    | {
        "subnets": {"network": {"subnets": "10.66.0.0/16/24,fd06::/48"}},
        "joinSubnet": {"network": {"join_subnets": "100.70.0.0/16"}},
        "Node.subnets": {"node": {"subnets": {"my-net": "10.33.9.0/24,fd01:0:0:9::/64"}}},
        "Given.ips": {"given": {"ips": ("10.33.0.9/24", "fd01:0:0:1::9/64")}},
    },
    "layer2": _EVERYWHERE
    | _FLAT
    | {
        "subnets": {"network": {"subnets": "10.66.0.0/16,fd06::/64"}},
        "joinSubnet": {"network": {"join_subnets": "100.70.0.0/16"}},
        "Given.ips": {"given": {"ips": ("{last}",)}},
    },
    "localnet": _EVERYWHERE
    | _FLAT
    | {
        "subnets": {"network": {"subnets": "10.66.0.0/16,fd06::/64"}},
        "Given.ips": {"given": {"ips": ("{last}",)}},
        "vlanID": {"network": {"vlan_id": 200}},
        "physicalNetworkName": {"network": {"physical_network_name": "physnet"}},
    },
}
"""Field -> what is changed to see where it goes."""

BEFORE: dict[str, dict[str, dict[str, Any]]] = {
    "Node.name": {"pod": {"node": "work-2"}},  # else the pod would have to move with the name
    "Attachment.ips": {"network": {"subnets": ""}},  # refused on networks that hand out addresses
}
"""Field -> what is different already before it is changed."""

DECIDING: dict[str, dict[str, dict[str, Any]]] = {
    "Pod.node": {"pod": {"node": ""}},
    "Pod.phase": {"pod": {"phase": "Succeeded"}},
    "Pod.host_network": {"pod": {"host_network": True}},
    "Pod.networks": {"attachment": {"name": "unknown"}},
}
"""Fields that decide whether a pod has a port at all, and what they are if it has none."""

HOLDER = "(held by)"
"""Stands among the columns for the row whose `ports` or `gateway_chassis` a row is a member of."""

_PODS = "ovn/base_network_controller_pods.go"
_NODES = "ovn/base_network_controller.go"
_NAMES = "util/multi_network.go"
SOURCES: dict[Cell, str] = {
    ("Load_Balancer_Group", "name"): f"`{_NODES}`; three for each network, empty on secondary ones",
    ("Logical_Router", "name"): f"prefix and `ovn_cluster_router`; `{_NAMES}`",
    ("Logical_Router", "options:always_learn_from_arp_request"): "`ovn/topology/topologyfactory.go`",
    ("Logical_Router", "external_ids:k8s-cluster-router"): "`ovn/topology/topologyfactory.go`",
    ("Logical_Router", "external_ids:k8s-ovn-topo-version"): "written until 2024-02-27",
    ("Logical_Router", "external_ids:k8s.ovn.org/network"): "`types/const.go`",
    ("Logical_Router", "external_ids:k8s.ovn.org/topology"): "`types/const.go`",
    ("Logical_Router", "copp"): "`ovn/copp.go`",
    ("Logical_Switch", "name"): f"layer3: prefix and node; layer2, localnet: one fixed name; `{_NAMES}`",
    ("Logical_Switch", "other_config:subnet"): f"ovn-nb(5) `other_config:subnet`; `{_NODES}`",
    ("Logical_Switch", "other_config:exclude_ips"): f"the slice's second address; `{_NODES}`",
    ("Logical_Switch", "other_config:ipv6_prefix"): f"without the mask, ovn-nb(5); `{_NODES}`",
    ("Logical_Switch", "external_ids:k8s-ovn-topo-version"): "written until 2024-02-27",
    ("Logical_Switch", "external_ids:k8s.ovn.org/network"): "`util/util.go`",
    ("Logical_Switch", "external_ids:k8s.ovn.org/topology"): "`util/util.go`",
    ("Logical_Switch", "external_ids:k8s.ovn.org/role"): "`util/util.go`, since 2024-08-30",
    ("Logical_Switch", "load_balancer_group"): f"cluster and switch group; `{_NODES}`",
    ("Logical_Switch_Port router", HOLDER): f"`{_NODES}`",
    ("Logical_Switch_Port router", "name"): f"`stor-` and the switch; `{_NAMES}`",
    ("Logical_Switch_Port router", "type"): f"`{_NODES}`",
    ("Logical_Switch_Port router", "addresses"): f"`{_NODES}`",
    ("Logical_Switch_Port router", "options:router-port"): f"`{_NODES}`",
    ("Logical_Router_Port", HOLDER): f"`{_NODES}`",
    ("Logical_Router_Port", "name"): f"`rtos-` and the switch; `{_NAMES}`",
    ("Logical_Router_Port", "mac"): "`0a:58` and the gateway's IPv4 address; `util/net.go`",
    ("Logical_Router_Port", "networks"): "the slice's first address, with its mask; `util/net.go`",
    ("Gateway_Chassis", HOLDER): f"`{_NODES}`",
    ("Gateway_Chassis", "name"): f"router port and chassis; `{_NODES}`",
    ("Gateway_Chassis", "chassis_name"): f"annotation `k8s.ovn.org/node-chassis-id`; `{_NODES}`",
    ("Gateway_Chassis", "priority"): f"`{_NODES}`",
    ("Logical_Switch_Port localnet", HOLDER): "`ovn/localnet_user_defined_network_controller.go`",
    ("Logical_Switch_Port localnet", "name"): f"prefix and `ovn_localnet_port`; `{_NAMES}`",
    ("Logical_Switch_Port localnet", "type"): "ovn-nb(5) Logical_Switch_Port",
    ("Logical_Switch_Port localnet", "addresses"): "`ovn/localnet_user_defined_network_controller.go`",
    ("Logical_Switch_Port localnet", "options:network_name"): "`ovn/localnet_user_defined_network_controller.go`",
    ("Logical_Switch_Port localnet", "tag_request"): "ovn-nb(5) `tag_request`; northd copies it to `tag`",
    ("Logical_Switch_Port pod", HOLDER): f"`{_PODS}`",
    ("Logical_Switch_Port pod", "name"): "prefix of the definition, namespace, pod; `util/util.go`",
    ("Logical_Switch_Port pod", "addresses"): f"MAC, then addresses without masks; `{_PODS}`",
    ("Logical_Switch_Port pod", "port_security"): f"the same text; `{_PODS}`",
    ("Logical_Switch_Port pod", "options:iface-id-ver"): f"`{_PODS}`",
    ("Logical_Switch_Port pod", "options:requested-chassis"): f"the node's name, in both styles; `{_PODS}`",
    ("Logical_Switch_Port pod", "external_ids:namespace"): f"`{_PODS}`",
    ("Logical_Switch_Port pod", "external_ids:pod"): f"`{_PODS}`",
    ("Logical_Switch_Port pod", "external_ids:k8s.ovn.org/nad"): f"`{_PODS}`",
    ("Logical_Switch_Port pod", "external_ids:k8s.ovn.org/network"): f"`{_PODS}`",
    ("Logical_Switch_Port pod", "external_ids:k8s.ovn.org/topology"): f"`{_PODS}`",
}
"""Where OVN-Kubernetes has the rule."""

_FLAT_SWITCH = "ovn/base_secondary_layer2_network_controller.go"
FLAT_SOURCES: dict[Cell, str] = {
    ("Logical_Switch", "other_config:subnet"): f"ovn-nb(5); of two families the last one alone; `{_FLAT_SWITCH}`",
    ("Logical_Switch", "other_config:ipv6_prefix"): f"the same, without the mask; `{_FLAT_SWITCH}`",
}
"""The same, where layer2 and localnet differ from layer3."""

_SHARED = ("Meter_Band", "Meter", "Copp")
_STYLES: tuple[Style, Style] = ("2023", "2024")

_HEAD = """\
# From field to column

Which field of the description reaches which column of the Northbound database, and where OVN-Kubernetes has the rule.
This page is made by `tests/nb_rows.py`: it plans a network, a node and a pod, changes one field at a time and looks
which columns follow. A test keeps page and code equal.

* Values are those of the sample: network `my-net`, definition `shop/nad`, node `work-1` with chassis id `c0ffee`, pod
  `shop/web`. "-" means that the style does not write the column. "same" means: as in 2023.
* "Prefix" is the network's name with `.` for `-` and `/`, and `_` behind it.
* Paths are below `go-controller/pkg` of OVN-Kubernetes (August 2026, 8871cd9).
* Rows with `external_ids` also carry `ovnk8s-topo/owner`; see
  [decision 0004](../decisions/0004-ownership-in-external-ids.md).
* Fields of networks are called as in NetConf, those of nodes and pods as in Python.
"""


def document() -> str:
    """Return the whole page."""
    known = {cell for topology in NETWORKS for cell in _shown(topology)}
    unexplained, unused = sorted(known - SOURCES.keys()), sorted(SOURCES.keys() - known)
    if unexplained or unused:
        raise ValueError(f"cells without a source: {unexplained}; sources without a cell: {unused}")
    sections = [_section(topology) for topology in NETWORKS]
    return "\n".join([_HEAD, *sections, _shared_section()])


def _section(topology: str) -> str:
    shown = _shown(topology)
    reached = _reached(topology)
    lines = [f"## {topology}", "", "| row | column | comes from | 2023 | 2024 | rule |", "|---|---|---|---|---|---|"]
    last = ""
    for cell in sorted(shown, key=_place):
        kind, column = cell
        old, new = (shown[cell].get(style, "-") for style in _STYLES)
        fields = ", ".join(f"`{field}`" for field in sorted(reached.get(cell, ()))) or "always so"
        columns = [
            kind if kind != last else "",
            f"`{column}`",
            fields,
            _code(old),
            "same" if new == old else _code(new),
        ]
        rule = (FLAT_SOURCES.get(cell) if topology != "layer3" else None) or SOURCES[cell]
        lines.append(f"| {' | '.join(columns)} | {rule} |")
        last = kind
    return "\n".join([*lines, "", *_afterword(topology, reached), ""])


def _afterword(topology: str, reached: Mapping[Cell, set[str]]) -> Iterator[str]:
    used = {field for fields in reached.values() for field in fields}
    yield f"They decide whether the pod has a port at all: {_listed(field for field in DECIDING)}."
    yield ""
    yield f"They leave no trace in the database: {_listed(field for field in CHANGES[topology] if field not in used)}."


def _shared_section() -> str:
    lines = ["## Rows shared by all networks", ""]
    lines += [
        "Written with the first layer3 network, in style 2024 also with the first layer2 network (`ovn/copp.go`);"
    ]
    lines += ["never deleted.", "", "| row | column | value |", "|---|---|---|"]
    cells = [cell for style in _STYLES for cell in _shared_cells(style)]
    lines += [f"| `{row}` | `{column}` | `{value}` |" for row, column, value in dict.fromkeys(cells)]
    old, new = (STYLES[style].protocols for style in _STYLES)
    added = [protocol for protocol in new if protocol not in old]
    return "\n".join([*lines, "", f"Protocols: {_listed(old)}; in 2024 also {_listed(added)}.", ""])


def _shared_cells(style: Style) -> Iterator[tuple[str, str, str]]:
    """Yield row, column and value, with `<protocol>` for the name of one."""
    for key, row in sorted(_rows("layer3", 0, BASE, style).items()):
        protocol = key.name.removesuffix("-rate-limiter") if key.table == "Meter" else ""
        for column, value in row.values():
            if key.table in _SHARED and value != column.default and column.name != "name":
                for name, text in _texts(column.name, value):
                    meant = protocol or (name.removeprefix("meters:") if key.table == "Copp" else "-")
                    yield (str(key).replace(meant, "<protocol>"), *_generic(meant, name, text))


def _generic(protocol: str, column: str, value: str) -> tuple[str, str]:
    return column.replace(protocol, "<protocol>"), value.replace(protocol, "<protocol>")


def _shown(topology: str) -> dict[Cell, dict[str, str]]:
    """Return cell -> style -> value."""
    found: dict[Cell, dict[str, str]] = {}
    for style in _STYLES:
        for number in range(len(SAMPLES[topology])):
            for cell, value in _observe(topology, number, BASE, style).items():
                found.setdefault(cell, {}).setdefault(style, value)
    return found


def _reached(topology: str) -> dict[Cell, set[str]]:
    """Return which fields each cell follows, in any style and sample."""
    found: dict[Cell, set[str]] = {}
    for style in _STYLES:
        for number in range(len(SAMPLES[topology])):
            for field, change in CHANGES[topology].items():
                base = _changed(topology, number, BASE, BEFORE.get(field, {}))
                before = _observe(topology, number, base, style)
                after = _observe(topology, number, _changed(topology, number, base, change), style)
                for cell in before.keys() | after.keys():
                    if before.get(cell) != after.get(cell):
                        found.setdefault(cell, set()).add(field)
            for change in DECIDING.values():
                assert not _has_port(_observe(topology, number, _changed(topology, number, BASE, change), style))
    return found


def _has_port(observed: Mapping[Cell, str]) -> bool:
    return any(kind == "Logical_Switch_Port pod" for kind, _ in observed)


def _changed(topology: str, number: int, base: Fields, changes: Fields) -> dict[str, dict[str, Any]]:
    """Return the fields with some changed; `{first}` and `{last}` stand for addresses of the sample's subnet."""
    network, _, mask = SAMPLES[topology][number]["subnets"].partition("/")
    stem, host = (network, "128") if ":" in network else (network.removesuffix("0"), "32")
    places = {"{first}": f"{stem}1/{host}", "{last}": f"{stem}77/{mask}"}

    def fill(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(fill(part) for part in value)
        return places.get(value, value) if isinstance(value, str) else value

    return {
        part: {**base.get(part, {}), **{name: fill(value) for name, value in changes.get(part, {}).items()}}
        for part in base.keys() | changes.keys()
    }


def _observe(topology: str, number: int, fields: Fields, style: Style) -> dict[Cell, str]:
    cells: dict[Cell, list[str]] = {}
    for row in _rows(topology, number, fields, style).values():
        kind = _kind(row)
        of_other_node = OTHER_NODE.name in row.key.name and kind != "Logical_Switch_Port pod"
        if row.key.table not in _SHARED and not of_other_node:
            for column, text in _cells_of(row):
                cells.setdefault((kind, column), []).append(text)
    return {cell: ", ".join(sorted(texts)) for cell, texts in cells.items()}


def _cells_of(row: Row) -> Iterator[tuple[str, str]]:
    if row.parent_key:
        yield HOLDER, row.parent_key.name
    for column, value in row.values():
        if value != column.default:
            yield from _texts(column.name, value)


def _rows(topology: str, number: int, fields: Fields, style: Style) -> RowSet:
    network = NETWORKS[topology](**{**SAMPLES[topology][number], **fields.get("network", {})})
    attachment = Attachment(**fields["attachment"])
    key = f"{attachment.namespace or fields['pod']['namespace']}/{attachment.name}"
    given = {key: Given(**fields["given"])} if "given" in fields else {}
    if given and not given[key].ips:
        # A MAC is told together with addresses.
        [grant] = desired_from_topology(_topology(network, fields, attachment, {}, style)).grants.values()
        ips = tuple(f"{address}/{64 if address.version == 6 else 24}" for address in grant.addresses)
        given = {key: Given(ips=ips, mac=given[key].mac)}
    desired = desired_from_topology(_topology(network, fields, attachment, given, style))
    if desired.problems:
        raise ValueError(desired.problems)
    return desired.rows


def _topology(
    network: Layer3 | Layer2 | Localnet,
    fields: Fields,
    attachment: Attachment,
    given: Mapping[str, Given],
    style: Style,
) -> Topology:
    pod = Pod(**fields["pod"], networks=(attachment,), given=given)
    cluster = Cluster(**fields["cluster"])
    return Topology(
        networks=[network], nodes=[Node(**fields["node"]), OTHER_NODE], pods=[pod], cluster=cluster, style=style
    )


def _kind(row: Row) -> str:
    if row.key.table != "Logical_Switch_Port":
        return row.key.table
    return f"{row.key.table} {row.get('type') or 'pod'}"


def _texts(column: str, value: Value) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        yield from ((f"{column}:{key}", text) for key, text in value.items())
    elif isinstance(value, frozenset):
        yield column, ", ".join(sorted(value))
    else:
        yield column, text_from_value(value)


def _place(cell: Cell) -> tuple[int, str, int, str]:
    table, _, rest = cell[0].partition(" ")
    columns = [HOLDER, *TABLES[table].columns]
    return list(TABLES).index(table), rest, columns.index(cell[1].split(":")[0]), cell[1]


def _code(text: str) -> str:
    return text if text == "-" else f"`{text}`"


def _listed(fields: Iterable[str]) -> str:
    return ", ".join(f"`{field}`" for field in fields)


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201
