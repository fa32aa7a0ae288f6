"""A controller of a few lines and its unit tests: real rows, injected faults, no server and no mocks."""

from ovnk8s_topo import Layer2, Pod, Reconciler, Remedy, TopoError, Topology
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.backends.faults import Faults


class Controller:
    """Gives every pod that it is told of a port on one network."""

    def __init__(self, nb: MemoryNb) -> None:
        self.reconciler, self.pods = Reconciler(nb, owner="controller"), list[Pod]()

    def reconcile(self) -> str:
        """Return what was done; after "later", call again: even a lost reply needs no other care."""
        wanted = Topology(networks=[Layer2(name="blue", subnets="10.22.0.0/16")], pods=self.pods)
        try:
            return self.reconciler.apply(wanted, prune=True).status
        except TopoError as error:
            if error.remedy is Remedy.PERMANENT:
                raise
            return "later"


def test_a_lost_reply_does_not_make_a_second_port() -> None:
    """The database is away at first, then it takes the rows and its answer is lost."""
    nb = MemoryNb(faults=Faults(commits=["unavailable", "reply_lost"]))
    controller = Controller(nb)
    controller.pods.append(Pod(name="web", node="work001", networks="blue"))
    steps = [controller.reconcile() for _ in range(3)]
    ports = [stored.row.get("addresses") for stored in nb.snapshot(timeout_s=1).table("Logical_Switch_Port")]
    print(" -> ".join(steps), f"ports: {ports}", sep="\n")
    assert steps == ["later", "later", "unchanged"]
    assert ports == [frozenset({"0a:58:0a:16:00:01 10.22.0.1"})]


if __name__ == "__main__":
    test_a_lost_reply_does_not_make_a_second_port()
