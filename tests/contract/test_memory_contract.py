from __future__ import annotations

from collections.abc import Iterator

import pytest
from nb_contract import NbContract, Other

from ovnk8s_topo.backends.contract import NbBackend
from ovnk8s_topo.backends.memory import MemoryNb


class TestMemoryNb(NbContract):
    @pytest.fixture
    def nb(self) -> Iterator[NbBackend]:
        with MemoryNb() as nb:
            yield nb

    @pytest.fixture
    def other(self, nb: NbBackend) -> Other:
        assert isinstance(nb, MemoryNb)
        return nb.transact
