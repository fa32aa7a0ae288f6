"""What is written is read back; whatever the bytes are, the outcome is a value or a SpecError."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from ovnk8s_topo.addresses import Address, Version, mac_from_identity
from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.results import (
    AttachmentResult,
    CniResult,
    NetworkStatus,
    cni_result_from_text,
    cni_result_text,
    given_from_result,
    merged_node_subnets,
    merged_pod_networks,
    network_status_of_attachments,
    network_status_text,
    pod_networks_of_attachments,
    pod_networks_text,
    stale_networks,
    status_from_attachment,
    statuses_from_result,
    statuses_from_text,
    without_networks,
)
from ovnk8s_topo.results.cni import CniAddress, CniInterface, CniRoute, Dns
from ovnk8s_topo.results.node_subnets import NODE_SUBNETS
from ovnk8s_topo.sources.cni_config import cni_config
from ovnk8s_topo.sources.delegates import default_delegate, delegate_from_config, delegates_of_pod
from ovnk8s_topo.sources.pod_networks import entries_from_text
from ovnk8s_topo.spec import Given, Route, Style
from ovnk8s_topo.spec.go_json import parse
from ovnk8s_topo.spec.go_writer import generic, json_text

WIDTHS: dict[Version, int] = {4: 32, 6: 128}

STYLES: tuple[Style, ...] = ("2023", "2024")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = st.tuples(*[st.text("abc", min_size=1, max_size=3)] * 2).map("/".join)


@st.composite
def addresses(draw: st.DrawFn, versions: tuple[Version, ...] = (4, 6)) -> Address:
    version = draw(st.sampled_from(versions))
    # Nothing below 2**96 for IPv6: ::ffff:0:0/96 is not an IPv6 address to Go.
    low = 1 if version == 4 else 1 << 100
    return Address(version, draw(st.integers(low, (1 << WIDTHS[version]) - 1)))


@st.composite
def interfaces(draw: st.DrawFn) -> str:
    address = draw(addresses())
    return f"{address}/{draw(st.integers(0, WIDTHS[address.version]))}"


@st.composite
def routes(draw: st.DrawFn) -> Route:
    address = draw(addresses())
    hop = draw(st.none() | addresses((address.version,)))
    return Route(dest=f"{address}/{WIDTHS[address.version]}", next_hop=str(hop or ""))


def tuples(each: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(each, max_size=3).map(tuple)


@st.composite
def told(draw: st.DrawFn) -> Given:
    ips = draw(tuples(interfaces()))
    gateways = draw(tuples(addresses().map(str)))
    return Given(
        ips=ips,
        mac=mac_from_identity(draw(texts)),
        gateways=gateways[:1] if len(ips) == 1 else gateways,
        routes=tuple(draw(st.lists(routes(), max_size=2))),
        ipv6_lla_gateway=draw(st.sampled_from(["", "fe80::1"])),
        tunnel_id=draw(st.integers(0, 1 << 24)),
        role=draw(texts),
    )


entries = st.dictionaries(names, told(), max_size=3)


@given(entries)
def test_pod_networks_come_back(wanted: dict[str, Given]) -> None:
    text = pod_networks_text(wanted)
    assert entries_from_text(text) == wanted
    assert pod_networks_text(entries_from_text(text)) == text


@given(entries, entries)
def test_merging_is_the_union(before: dict[str, Given], more: dict[str, Given]) -> None:
    text = pod_networks_text(before) if before else None
    merged = merged_pod_networks(text, more)
    assert merged == (pod_networks_text({**before, **more}) if before or more else None)
    assert merged_pod_networks(merged, more) == merged
    assert merged_pod_networks(merged, dict.fromkeys({**before, **more})) is None


dns = st.builds(Dns, nameservers=tuples(texts), domain=texts, search=tuples(texts), options=tuples(texts))
cni_results = st.builds(
    CniResult,
    cni_version=st.sampled_from(["1.0.0", "1.1.0"]),
    interfaces=st.lists(
        st.builds(CniInterface, name=texts, mac=texts, mtu=st.integers(0, 9000), sandbox=texts), max_size=3
    ).map(tuple),
    ips=st.lists(
        st.builds(
            CniAddress,
            address=interfaces(),
            gateway=addresses().map(str),
            interface=st.none() | st.integers(-1, 3),
        ),
        max_size=3,
    ).map(tuple),
    routes=st.lists(
        st.builds(CniRoute, dst=st.sampled_from(["", "0.0.0.0/0", "fd00::/8"]), gw=addresses().map(str)), max_size=2
    ).map(tuple),
    dns=dns,
)


@given(cni_results, st.booleans())
def test_results_come_back_and_become_statuses(result: CniResult, default: bool) -> None:
    assert cni_result_from_text(cni_result_text(result)) == result
    statuses = statuses_from_result(result, "ns/nad", default=default)
    assert statuses_from_text(network_status_text(statuses)) == statuses
    assert sum(status.default for status in statuses) <= default


@given(st.lists(st.builds(NetworkStatus, name=texts, interface=texts, ips=tuples(texts), dns=dns), max_size=2))
def test_statuses_come_back(statuses: list[NetworkStatus]) -> None:
    text = network_status_text(statuses)
    assert statuses_from_text(text) == tuple(statuses)
    assert network_status_text(statuses_from_text(text)) == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_json_is_read_back_as_go_has_it(value: object) -> None:
    once = generic(parse(json_text(value)))
    assert generic(parse(json_text(once))) == generic(parse(json_text(once, indent=4))) == once
    assert json.loads(json_text(value, indent=4)) == json.loads(json_text(value))


KEYS = [
    *("name", "type", "plugins", "args", "cni", "cniVersion", "capabilities"),
    *("mac_address", "ip_addresses", "routes", "dest", "default", "ns/nad"),
    *("interfaces", "sandbox", "ips", "address", "dns", "device-info", "pci"),
]
junk_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(1e308) | texts | st.sampled_from(KEYS),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | texts, children, max_size=4)
    ),
    max_leaves=12,
)
junk = junk_values.map(json.dumps) | st.text(max_size=20) | st.sampled_from(['{"a":1e999}', "[" * 300, "\ufeff{}"])


@given(junk)
def test_junk_is_refused_or_read(text: str) -> None:
    readers = (
        entries_from_text,
        statuses_from_text,
        lambda text: statuses_from_result(cni_result_from_text(text), "n", default=True),
        lambda text: merged_pod_networks(text, {"ns/nad": None}),
        lambda text: merged_node_subnets(text, "blue", ["10.0.0.0/24"]),
        lambda text: without_networks({NODE_SUBNETS: text}, stale_networks({NODE_SUBNETS: text}, ())),
        lambda text: delegate_from_config(text).plugins,
        lambda text: cni_config(text, "n", {"a.conf": text, "b.conflist": text}, "/conf"),
        lambda text: cni_config("", "n", {"b.conflist": text}, "/conf"),
        lambda text: delegates_of_pod({"k8s.v1.cni.cncf.io/networks": text}, "ns", {"ns/name": text}),
        lambda text: default_delegate({"v1.multus-cni.io/default-network": text}, {"kube-system/name": text}),
    )
    for read in readers:
        with suppress(SpecError):
            read(text)


@st.composite
def results_of_pod(draw: st.DrawFn) -> list[AttachmentResult]:
    """Return attachments as `attachment_result` makes them, with every text in names that there may be."""
    keys = draw(st.lists(st.one_of(names, texts, st.sampled_from(["%s/\0", 'a"\0/b'])), max_size=3, unique=True))
    return [
        AttachmentResult(
            pod="default/pod",
            nad_key=key,
            network="net",
            topology="layer2",
            node="node",
            interface=draw(st.one_of(texts, st.sampled_from(["\0", "%", '"\0']))),
            mac=mac_from_identity(draw(texts)),
            addresses=draw(tuples(interfaces())),
            gateways=draw(st.one_of(st.just(()), st.just(("10.0.0.1",)))),
            routes=tuple(draw(st.lists(routes(), max_size=2))),
            mtu=draw(st.sampled_from([0, 1400])),
        )
        for key in keys
    ]


@given(results_of_pod(), entries, st.sampled_from(STYLES))
def test_filled_in_patterns_are_what_would_be_written(
    results: list[AttachmentResult], known: dict[str, Given], style: Style
) -> None:
    assert network_status_of_attachments(results) == network_status_text(map(status_from_attachment, results))
    told = {each.nad_key: given_from_result(each, known.get(each.nad_key), style) for each in results}
    assert pod_networks_of_attachments(results, known, style) == pod_networks_text(told)
