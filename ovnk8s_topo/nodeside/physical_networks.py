"""Which physical networks a node must have a bridge for.

Sources: ovn-kubernetes pkg/cni/cni.go, checkBridgeMapping; which name is asked for changed with a6a00440b (2023-06) and
is `planner`'s to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ovnk8s_topo.errors import Problem
from ovnk8s_topo.nodeside.bridge_mappings import BRIDGE_MAPPINGS, bridge_mappings_from_text
from ovnk8s_topo.nodeside.interface import DEFAULT
from ovnk8s_topo.planner.style import STYLES
from ovnk8s_topo.results import AttachmentResult
from ovnk8s_topo.spec import Localnet, Network, Style


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingMapping:
    """A physical network that networks ask for and that no bridge is mapped to.

    physical_network  as the localnet ports have it in `options:network_name`
    networks          who asks, sorted
    other_style       the name under which there is an entry: releases of another style would ask for it; "": none
    """

    physical_network: str
    networks: tuple[str, ...]
    other_style: str = ""

    @property
    def problem(self) -> Problem:
        """What to tell people: the CNI plug-in's own words, and the entry that is there for another release."""
        why = f'failed to find OVN bridge-mapping for network: "{self.physical_network}"'
        if self.other_style:
            why += f'; "{self.other_style}", which is mapped, is its name in other releases'
        return Problem(f"external_ids:{BRIDGE_MAPPINGS}", why, subject=f"Network {', '.join(self.networks)}")


def physical_networks(networks: Iterable[Network], style: Style = "2024") -> dict[str, tuple[str, ...]]:
    """Return physical network -> names of the networks that ask for it, both sorted; only localnet networks ask."""
    found: dict[str, set[str]] = {}
    for network in _localnets(networks):
        found.setdefault(STYLES[style].physical_network(network), set()).add(network.name)
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def missing_mapping(text: str | None, result: AttachmentResult, physical_network: str = "") -> MissingMapping | None:
    """Return what `ovn-bridge-mappings` lacks for one attachment; None if nothing: the CNI plug-in's own question.

    text              as the node has it, None if there is none; whether the bridge exists is not looked at
    physical_network  that the network names; "": it names none, and is called like the network itself

    TextError  the text cannot be read

    Only localnet networks ask for a bridge, and the cluster's default network never does.
    """
    if result.topology != "localnet" or result.network == DEFAULT:
        return None
    name = physical_network or result.network
    mapped = {mapping.physical_network for mapping in bridge_mappings_from_text(text)}
    return None if name in mapped else MissingMapping(physical_network=name, networks=(result.network,))


def missing_mappings(
    text: str | None, networks: Iterable[Network], style: Style = "2024"
) -> tuple[MissingMapping, ...]:
    """Return what `ovn-bridge-mappings` lacks for these networks, sorted by physical network.

    text  as the node has it, None if there is none; whether the bridges exist is not looked at

    TextError  the text cannot be read
    """
    localnets = [*_localnets(networks)]
    mapped = {mapping.physical_network for mapping in bridge_mappings_from_text(text)}
    return tuple(
        MissingMapping(
            physical_network=name,
            networks=askers,
            other_style=next((other for other in _other_names(localnets, askers) if other in mapped), ""),
        )
        for name, askers in physical_networks(localnets, style).items()
        if name not in mapped
    )


def _localnets(networks: Iterable[Network]) -> Iterator[Localnet]:
    return (network for network in networks if isinstance(network, Localnet))


def _other_names(localnets: Iterable[Localnet], names: Iterable[str]) -> list[str]:
    """Return what these networks ask for in any style."""
    wanted = frozenset(names)
    return sorted(
        style.physical_network(network) for network in localnets if network.name in wanted for style in STYLES.values()
    )
