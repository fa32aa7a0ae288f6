"""`atomic="unit"` on a live server, beside another writer of the same networks, and by the command."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from nb_world import LIMIT_S, Live, connected

from ovnk8s_topo import Layer2, Layer3, Node, Pod, Reconciler, Topology, cli
from ovnk8s_topo.backends import DirectNb, MemoryNb
from ovnk8s_topo.backends import line as line_module
from ovnk8s_topo.backends.contract import NbBackend
from ovnk8s_topo.nb.tables import Key
from ovnk8s_topo.testing import LocalOvn

ARTICLE = Path(__file__).parents[2] / "examples" / "article"
MANIFESTS = [str(ARTICLE / name) for name in ("nads.yaml", "nodes.yaml", "pods.yaml")]


def topology(nodes: int, pods: int) -> Topology:
    """Layer3 and layer2, every pod in both."""
    return Topology(
        networks=[
            Layer3(name="l3", subnets="10.32.0.0/12/24,fd01::/48/64"),
            Layer2(name="l2", subnets="10.64.0.0/14"),
        ],
        nodes=[Node(name=f"n{number}") for number in range(nodes)],
        pods=[Pod(name=f"p{number}", node=f"n{number % nodes}", networks="l3,l2") for number in range(pods)],
    )


def listed(ovn: LocalOvn, table: str, column: str) -> Counter[Any]:
    """What a column of all rows of a table holds, and how often."""
    found = json.loads(ovn.nbctl("--format=json", f"--columns={column}", "list", table))
    return Counter(json.dumps(row) for row in found["data"])


def keys(nb: NbBackend) -> Counter[Key]:
    return Counter(stored.key for stored in nb.snapshot(timeout_s=LIMIT_S).rows.values())


def check_no_duplicates(ovn: LocalOvn) -> None:
    for table in ("Logical_Switch", "Logical_Router", "Logical_Switch_Port", "Logical_Router_Port"):
        assert {name for name, count in listed(ovn, table, "name").items() if count > 1} == set()
    with_addresses = listed(ovn, "Logical_Switch_Port", "addresses")
    assert {at for at, count in with_addresses.items() if count > 1 and "0a:58" in at} == set()


@pytest.mark.parametrize("many", [50, 10**6], ids=["lanes", "no lanes"])
def test_two_writers_of_the_same_networks_in_batches(
    live: Live, local_ovn_nb: LocalOvn, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(line_module, "_MANY", many)
    monkeypatch.setattr("ovnk8s_topo.batches.batches.__defaults__", (10,))
    whole = topology(10, 120)
    start, failures, attempts = threading.Barrier(2), list[BaseException](), list[int]()
    with connected(live, local_ovn_nb.nb) as one, connected(DirectNb, local_ovn_nb.nb) as two:
        reconcilers = [Reconciler(one, timeout_s=LIMIT_S), Reconciler(two, timeout_s=LIMIT_S)]

        def work(reconciler: Reconciler) -> None:
            try:
                for part in (topology(4, 30), whole, topology(7, 60), whole):
                    start.wait(LIMIT_S)
                    result = reconciler.apply(part, atomic="unit", prune=True, allow_mass_delete=True)
                    attempts.append(result.attempts)
                    start.wait(LIMIT_S)
                    assert reconciler.verify(part).is_empty
            except BaseException as failure:
                failures.append(failure)
                start.abort()

        threads = [threading.Thread(target=work, args=(reconciler,)) for reconciler in reconcilers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert max(attempts) > 1, "nobody ever lost a race"
        check_no_duplicates(local_ovn_nb)
        with Reconciler(MemoryNb()) as alone:
            alone.apply(whole)
            # Who came first has kept its address, so only the names are the same.
            assert keys(one) == keys(alone.nb)


def test_one_writer_in_batches_and_one_as_a_whole_with_other_pods(live: Live, local_ovn_nb: LocalOvn) -> None:
    """Writers who know different pods give nobody an address that the other one has given."""
    mine = topology(4, 60)
    theirs = mine.model_copy(
        update={"pods": [Pod(name=f"q{i}", node=f"n{i % 4}", networks="l3,l2") for i in range(60)]}
    )
    start, failures = threading.Barrier(2), list[BaseException]()
    with connected(live, local_ovn_nb.nb) as one, connected(DirectNb, local_ovn_nb.nb) as two:

        def work(reconciler: Reconciler, wanted: Topology, atomic: Any) -> None:
            try:
                start.wait(LIMIT_S)
                reconciler.apply(wanted, atomic=atomic)
            except BaseException as failure:
                failures.append(failure)

        jobs = [(Reconciler(one), mine, "unit"), (Reconciler(two), theirs, "topology")]
        threads = [threading.Thread(target=work, args=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert listed(local_ovn_nb, "Logical_Switch_Port", "type").total() == 4 + 2 * 120
        check_no_duplicates(local_ovn_nb)


def test_batches_and_a_confirmation_of_northd(live: Live, local_ovn: LocalOvn) -> None:
    with connected(live, local_ovn.nb) as nb, Reconciler(nb) as reconciler:
        reconciler.apply(topology(5, 300), atomic="unit", wait="sb")
        bound = local_ovn.sbctl("--bare", "--columns=logical_port", "list", "Port_Binding").split()
        assert len([name for name in bound if "_default_p" in name]) == 600


def test_the_command_in_batches(local_ovn_nb: LocalOvn, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["apply", "--atomic", "unit", "--nb", local_ovn_nb.nb, *MANIFESTS]
    before = local_ovn_nb.txn_requests()
    assert cli.main(command) == 0
    assert local_ovn_nb.txn_requests() > before + 1
    sent = local_ovn_nb.txn_requests()
    assert cli.main(command) == 0
    assert local_ovn_nb.txn_requests() == sent
    assert cli.main(["plan", "--detailed-exitcode", "--prune", "--nb", local_ovn_nb.nb, *MANIFESTS]) == 0
    assert cli.main(["apply", "--atomic", "pod", "--nb", local_ovn_nb.nb, *MANIFESTS]) == 1
    assert "--atomic" in capsys.readouterr().err
