"""The command against a real server: what only a server can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovnk8s_topo import cli
from ovnk8s_topo.testing import LocalOvn

ARTICLE = Path(__file__).parents[2] / "examples" / "article"
MANIFESTS = [str(ARTICLE / name) for name in ("nads.yaml", "nodes.yaml", "pods.yaml")]


def test_several_remotes_and_waiting_for_northd(local_ovn: LocalOvn) -> None:
    nb = f"unix:/nowhere/nb.sock,{local_ovn.nb}"
    assert cli.main(["apply", "--wait", "sb", "--nb", nb, *MANIFESTS]) == 0
    assert "l2.network_ovn_layer2_switch" in local_ovn.sbctl("list", "Datapath_Binding")
    assert cli.main(["apply", "--wait", "sb", "--nb", nb, *MANIFESTS]) == 0


def test_waiting_for_a_chassis_that_never_comes(local_ovn: LocalOvn, capsys: pytest.CaptureFixture[str]) -> None:
    local_ovn.sbctl("chassis-add", "work001", "geneve", "172.31.0.1")
    local_ovn.sbctl("create", "Chassis_Private", "name=work001")
    assert cli.main(["apply", "--wait", "hv", "--timeout", "1", "--nb", local_ovn.nb, *MANIFESTS]) == 1
    assert "nothing was written" not in capsys.readouterr().err
    assert "l2.network_ovn_layer2_switch" in local_ovn.nbctl("ls-list")
