"""Chassis rows for tests without ovn-controller: northd warns of requested chassis that it does not know."""

from __future__ import annotations

from collections.abc import Iterable

from ovnk8s_topo.testing import LocalOvn


def register_chassis(ovn: LocalOvn, names: Iterable[str]) -> None:
    for number, name in enumerate(names, start=1):
        ovn.sbctl("chassis-add", name, "geneve", f"172.31.0.{number}")
