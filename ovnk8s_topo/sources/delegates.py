"""What Multus makes of a pod's network annotations: one delegate, with its CNI configuration, for each interface.

Nothing here reaches the database; it tells which configurations the plug-ins of a node would get. Files of the node
are handed in as texts.

Source: network-attachment-definition-client pkg/utils/cniconfig.go; multus-cni pkg/k8sclient/k8sclient.go and
pkg/types/conf.go; libcni for files and capabilities.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ovnk8s_topo.addresses import address_from_text
from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.sources.cni_config import (
    Members,
    cni_config,
    encoded,
    members_from_config,
    plugins_of,
    with_cni_args,
    with_device_id,
    with_runtime_config,
)
from ovnk8s_topo.sources.multus import DEFAULT_NETWORK, NETWORKS
from ovnk8s_topo.spec import Attachment
from ovnk8s_topo.spec.selection import attachments_from_text

ECMP = "multus does not support ECMP for default-route"
_GET = "GetNetworkDelegates: "
_LOAD = "LoadDelegateNetConf: error unmarshalling delegate config: "


@dataclass(frozen=True, slots=True, kw_only=True)
class MultusSetting:
    """What of Multus' own configuration matters to pods.

    cluster_network      definition of the default network, in `multus_namespace`
    namespace_isolation  pods may only use definitions of their own namespace and of `global_namespaces`
    files                name -> content of the files in `conf_dir`
    """

    cluster_network: str = ""
    multus_namespace: str = "kube-system"
    namespace_isolation: bool = False
    global_namespaces: tuple[str, ...] = ("default",)
    conf_dir: str = "/etc/cni/multus/net.d"
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate:
    """One plug-in call, or one chain of them.

    name        ``<namespace>/<NAD name>``, the name in network-status; of a configuration alone its CNI name
    conf_name   the CNI name of the configuration
    type        of the plug-in; of a list "" (see `plugins`)
    config      the configuration as JSON, with `cni-args` and device id merged in
    interface   its name in the pod
    is_default  whether it is the default network's, which gets none of the requests
    attachment  the selection that led here
    device_id   from the device plug-in, else ""
    """

    name: str
    conf_name: str
    type: str
    config: str
    interface: str = ""
    is_default: bool = False
    attachment: Attachment | None = None
    device_id: str = ""

    @property
    def gateways(self) -> tuple[str, ...] | None:
        """Requested next hops of the default route; None: the selection does not speak of them."""
        found = self.attachment
        return found.default_route if found and found.asks_default_route else None

    @property
    def capability_args(self) -> dict[str, object]:
        """What the plug-in may be told by `runtimeConfig`, by capability; the default network gets nothing."""
        if self.is_default or self.attachment is None:
            return {}
        return _capability_args(self.attachment, self.device_id)

    @property
    def plugins(self) -> tuple[str, ...]:
        """The configuration of every plug-in, with `runtimeConfig` where it has the capability."""
        tree = members_from_config(self.config)
        shared: dict[str, object] = {key: tree[key] for key in ("name", "cniVersion") if not self.type and key in tree}
        plugins = [{**plugin, **shared} for plugin in plugins_of(tree)]
        return tuple(encoded(with_runtime_config(plugin, self.capability_args)) for plugin in plugins)


def _capability_args(attachment: Attachment, device_id: str) -> dict[str, object]:
    rates = ("ingressRate", "ingressBurst", "egressRate", "egressBurst")
    found: dict[str, object] = {
        "portMappings": [dict(mapping) for mapping in attachment.port_mappings],
        "bandwidth": {key: attachment.bandwidth.get(key, 0) for key in rates} if attachment.bandwidth else None,
        "ips": [*attachment.ips],
        "mac": attachment.mac,
        "infinibandGUID": attachment.infiniband_guid,
        "deviceID": device_id,
    }
    return {key: value for key, value in found.items() if value}


def delegate_from_config(config: str, attachment: Attachment | None = None, *, device_id: str = "") -> Delegate:
    """Read a configuration: a single one if it has a `type`, else a list.

    attachment  the selection that leads to it; its `cni-args` are merged in and go before what is there
    device_id   what the device plug-in has reserved for the definition's resource

    SpecError  not JSON, neither `type` nor `plugins`, or a list whose first plug-in has no type

    Follows multus-cni pkg/types/conf.go, LoadDelegateNetConf; what crashes it is refused.
    """
    tree = members_from_config(config, _LOAD)
    kind = _text(tree, "type")
    if not kind:
        _check_list(tree)
    changed: Members = tree
    if device_id:
        changed = with_device_id(changed, device_id)
    if attachment and attachment.cni_args:
        changed = with_cni_args(changed, attachment.cni_args)
    name = f"{attachment.namespace}/{attachment.name}" if attachment else _text(tree, "name")
    return Delegate(
        name=name,
        conf_name=_text(tree, "name"),
        type=kind,
        config=config if changed is tree else encoded(changed),
        interface=attachment.interface if attachment else "",
        attachment=attachment,
        device_id=device_id,
    )


def _check_list(tree: Members) -> None:
    plugins = tree.get("plugins")
    if plugins is None:
        raise _refusal("LoadDelegateNetConfList: delegate must have the 'type' or 'plugin' field")
    if not isinstance(plugins, list) or not all(isinstance(plugin, dict) for plugin in plugins):
        raise _refusal("LoadDelegateNetConfList: plugins must be a list of objects")
    if not plugins or not _text(plugins[0], "type"):
        raise _refusal("LoadDelegateNetConfList: a plugin delegate must have the 'type' field")


def _text(tree: Members, key: str) -> str:
    """Return a member as Go reads it into a struct: of exactly that name, else of that name in any case."""
    folded = (tree[name] for name in tree if name.casefold() == key.casefold())
    value = tree[key] if key in tree else next(folded, None)
    if value is not None and not isinstance(value, str):
        raise _refusal(f"{_LOAD}{key} must be a text")
    return value or ""


def _refusal(why: str, path: str = "") -> SpecError:
    return SpecError([Problem(path, why)])


NO_SETTING = MultusSetting()


def delegates_of_pod(
    annotations: Mapping[str, str],
    namespace: str,
    nads: Mapping[str, str],
    setting: MultusSetting = NO_SETTING,
    *,
    devices: Mapping[str, str] | None = None,
) -> tuple[Delegate, ...]:
    """Return the delegates of the networks annotation, in its order.

    namespace  the pod's
    nads       ``namespace/name`` -> `spec.config`
    devices    ``namespace/name`` of definitions with a resource -> device id reserved for the pod

    SpecError  the annotation does not parse; a definition is missing, of a forbidden namespace or at fault; more than
               one gateway of an IP family is asked for

    An interface that is not named is ``net<N>``, where the default network is number 0.
    """
    found: list[Delegate] = []
    for index, attachment in enumerate(attachments_from_text(annotations.get(NETWORKS, ""), namespace), start=1):
        _check_isolation(attachment, namespace, setting)
        device_id = (devices or {}).get(f"{attachment.namespace}/{attachment.name}", "")
        delegate = _delegate(attachment, nads, setting, device_id)
        found.append(replace(delegate, interface=delegate.interface or f"net{index}"))
    gateway_filters(found)
    return tuple(found)


def _check_isolation(attachment: Attachment, namespace: str, setting: MultusSetting) -> None:
    allowed = (namespace, *setting.global_namespaces)
    if setting.namespace_isolation and attachment.namespace not in allowed:
        raise _refusal(
            f"{_GET}namespace isolation enabled, annotation violates permission, pod is in namespace {namespace} "
            f"but refers to target namespace {attachment.namespace}"
        )


def _delegate(
    attachment: Attachment, nads: Mapping[str, str], setting: MultusSetting, device_id: str = "", prefix: str = _GET
) -> Delegate:
    namespace, name = attachment.namespace, attachment.name
    if f"{namespace}/{name}" not in nads:
        raise _refusal(
            f"{prefix}failed getting the delegate: getKubernetesDelegate: cannot find a network-attachment-definition "
            f"({name}) in namespace ({namespace}): "
            f'network-attachment-definitions.k8s.cni.cncf.io "{name}" not found'
        )
    try:
        config = cni_config(nads[f"{namespace}/{name}"], name, setting.files, setting.conf_dir)
        return delegate_from_config(config, attachment, device_id=device_id)
    except SpecError as error:
        why = error.problems[0].why
        raise _refusal(f"{prefix}failed getting the delegate: {why}") from error


def default_delegate(
    annotations: Mapping[str, str], nads: Mapping[str, str], setting: MultusSetting = NO_SETTING
) -> Delegate | None:
    """Return the delegate of the default network: the one the pod names, else the cluster's, None without either.

    SpecError  the annotation does not parse or does not name one network; its definition is missing or at fault

    A definition without a namespace is looked up in `multus_namespace`. OVN-Kubernetes reads the same annotation and
    takes the pod's namespace; only a text that names the namespace means the same to both.
    """
    prefix = "tryLoadK8sPodDefaultNetwork: "
    text = annotations.get(DEFAULT_NETWORK, "") or setting.cluster_network
    if not text:
        return None
    found = attachments_from_text(text, setting.multus_namespace)
    if len(found) > 1:
        raise _refusal(f"{prefix}more than one default network is specified: {text}")
    if not found:
        raise _refusal(f"{prefix}no default network is specified: {text} (Multus crashes on it)")
    delegate = _delegate(found[0], nads, setting, prefix=prefix)
    return replace(delegate, interface="eth0", is_default=True)


def gateway_filters(delegates: Sequence[Delegate]) -> tuple[tuple[bool, bool], ...]:
    """Tell for every delegate whether its IPv4 and its IPv6 default route would be taken away.

    SpecError  two gateways of one IP family

    Multus acts on this as soon as any selection of the pod carries `default-route`, be it an empty list. Follows
    multus-cni pkg/types/conf.go, CheckGatewayConfig.
    """
    families = [[*_families(delegate.gateways or ())] for delegate in delegates]
    every = [family for each in families for family in each]
    if every.count(4) > 1 or every.count(6) > 1:
        raise _refusal(ECMP)
    return tuple((4 not in each, 6 not in each) for each in families)


def _families(texts: Iterable[str]) -> Iterator[int]:
    return (address_from_text(text).version for text in texts)
