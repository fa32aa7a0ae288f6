"""NetworkAttachmentDefinition -> the network that its configuration describes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.sources.comments import without_comments
from ovnk8s_topo.sources.documents import value_at
from ovnk8s_topo.sources.found import Found, shown
from ovnk8s_topo.sources.names import read_name, read_namespace
from ovnk8s_topo.sources.netconf import PLUGIN, Fault, NetConf, NetConfError, NotManaged
from ovnk8s_topo.sources.netconf_network import ignored_fields, network_from_netconf
from ovnk8s_topo.sources.netconf_rules import Setting, netconf_from_nad
from ovnk8s_topo.sources.netconf_rules import build as build_subnets
from ovnk8s_topo.spec.go_json import GoJsonError, parse

CONFIG = ("spec", "config")
MAX_CONFIG = 1536 << 10
"""What etcd takes in one request."""


@dataclass(slots=True)
class Nad:
    """What one definition turned out to be.

    key      ``namespace/name``, "" if it cannot be told
    network  the network's name, "" if it cannot be told
    netconf  None: at fault, or nobody's business here
    ignored  another plugin's, or the default network's
    """

    found: Found
    key: str = ""
    network: str = ""
    netconf: NetConf | None = None
    ignored: bool = False


def nad_from_object(found: Found, setting: Setting, *, lenient: bool = False) -> Nad:
    """Read one definition; its faults and notices are in `found`."""
    name, namespace = read_name(found), read_namespace(found)
    nad = Nad(found, key=f"{namespace}/{name}" if name and namespace else "")
    if nad.key:
        found.subject = f"NetworkAttachmentDefinition {nad.key}"
    config = _config(found)
    if config is None:
        return nad
    nad.network = _network_name(without_comments(config))
    if nad.key:
        _read_config(nad, config, setting, lenient=lenient)
    return nad


def _config(found: Found) -> str | None:
    before = len(found.problems)
    found.mapping("spec")
    value = value_at(found.value, CONFIG)
    if isinstance(value, dict | list):
        found.refuse(CONFIG, "must be a text that holds JSON: write `config: |` and indent it", shown(value))
    config = found.text(*CONFIG) if not isinstance(value, dict | list) else ""
    if len(config) > MAX_CONFIG:
        found.refuse(CONFIG, f"must not be larger than {MAX_CONFIG >> 10} KiB")
    return config if len(found.problems) == before else None


def _read_config(nad: Nad, config: str, setting: Setting, *, lenient: bool) -> None:
    found = nad.found
    try:
        netconf = netconf_from_nad(config, nad.key, setting, default_mtu=setting.cluster.mtu, lenient=lenient)
    except NotManaged:
        _ignore(nad, f"its plugin is not {PLUGIN}")
        return
    except NetConfError as error:
        for fault in error.faults:
            tail = f".{fault.key}" if fault.key else ""
            found.refuse(CONFIG, fault.why, fault.given, tail=tail, offset=fault.offset)
        if error.netconf is not None:
            _refuse_to_build(found, error.netconf, nad.key, setting, {_top(fault.key) for fault in error.faults})
        return
    if netconf.is_default:
        _ignore(nad, "it has no topology: it is about the cluster's default network")
        return
    nad.network = netconf.name
    if not _refuse_to_build(found, netconf, nad.key, setting, set()):
        nad.netconf = netconf
        for key in ignored_fields(netconf):
            found.notice(CONFIG, f"{key} has no effect on a {netconf.topology} network")


def _ignore(nad: Nad, why: str) -> None:
    nad.ignored = True
    nad.found.notice((), f"ignored: {why}")


def _refuse_to_build(found: Found, netconf: NetConf, key: str, setting: Setting, told: set[str]) -> bool:
    """Record why no network comes of a configuration, apart from fields that are at fault already; return whether."""
    faults = [fault for fault in build_subnets(netconf, setting)[1] if _top(fault.key) not in told]
    told = told | {_top(fault.key) for fault in faults}
    try:
        network_from_netconf(netconf, (key,))
    except SpecError as error:
        new = [problem for problem in error.problems if _top(problem.path) not in told]
        faults += [Fault(problem.path, problem.why, given=problem.given) for problem in new]
    for fault in faults:
        offset = netconf.offsets.get(_top(fault.key), 0)
        found.refuse(CONFIG, fault.why, fault.given, tail=f".{fault.key}", offset=offset)
    return bool(faults)


def _top(path: str) -> str:
    return path.partition("[")[0].partition(".")[0]


def _network_name(config: str) -> str:
    """Return the name in a configuration, even one that is refused; "" if it cannot be read."""
    try:
        tree: Any = parse(config).plain()
    except GoJsonError:
        return ""
    name = tree.get("name") if isinstance(tree, dict) else ""
    return name if isinstance(name, str) else ""
