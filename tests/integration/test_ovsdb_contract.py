from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nb_world import connected

from ovnk8s_topo.backends import DirectNb, OvsdbNb
from ovnk8s_topo.backends.contract import NbBackend
from ovnk8s_topo.testing import LocalOvn

# The contract is shared by all backends, so it lives beside them and not here.
sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
from nb_contract import NbContract, Other


class OnAServer(NbContract):
    @pytest.fixture
    def other(self, nb: NbBackend, local_ovn_nb: LocalOvn) -> Other:
        def transact(operations: list[dict[str, Any]]) -> list[Any]:
            request = json.dumps(["OVN_Northbound", *operations])
            command = ["ovsdb-client", "transact", local_ovn_nb.nb, request]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            results: list[Any] = json.loads(done.stdout)
            return results

        return transact

    @pytest.fixture
    def sent(self, nb: NbBackend, local_ovn_nb: LocalOvn) -> Callable[[], int]:
        return local_ovn_nb.txn_requests


class TestOvsdbNb(OnAServer):
    @pytest.fixture
    def nb(self, local_ovn_nb: LocalOvn) -> Iterator[NbBackend]:
        with connected(OvsdbNb, local_ovn_nb.nb) as nb:
            yield nb


class TestDirectNb(OnAServer):
    @pytest.fixture
    def nb(self, local_ovn_nb: LocalOvn) -> Iterator[NbBackend]:
        with connected(DirectNb, local_ovn_nb.nb) as nb:
            yield nb
