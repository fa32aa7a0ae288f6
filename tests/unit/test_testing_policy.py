from __future__ import annotations

from pathlib import Path

import pytest

from ovnk8s_topo.testing import LocalOvn, OvnNotInstalled
from ovnk8s_topo.testing.policy import Need, is_required, unavailable


@pytest.mark.parametrize(
    ("need", "environ", "required"),
    [
        pytest.param("OVN", {}, False, id="a user's machine"),
        pytest.param("OVN", {"CI": "true"}, True, id="CI"),
        pytest.param("DOCKER", {"CI": "1"}, True, id="CI, spelt otherwise"),
        pytest.param("OVN", {"CI": ""}, False, id="CI set to nothing"),
        pytest.param("OVN", {"CI": "false"}, False, id="CI said not to be"),
        pytest.param("OVN", {"REQUIRE_OVN": "1"}, True, id="OVN required"),
        pytest.param("DOCKER", {"REQUIRE_DOCKER": "1"}, True, id="Docker required"),
        pytest.param("DOCKER", {"REQUIRE_OVN": "1"}, False, id="only the other one required"),
        pytest.param("DOCKER", {"CI": "true", "REQUIRE_DOCKER": "0"}, False, id="a CI without an engine"),
    ],
)
def test_is_required(need: Need, environ: dict[str, str], required: bool) -> None:
    assert is_required(need, environ) is required


def test_missing_and_not_required_is_a_skip_that_says_why() -> None:
    with pytest.raises(pytest.skip.Exception, match="apt-get install ovn-central"):
        raise unavailable("OVN", "apt-get install ovn-central", {})


def test_missing_but_required_is_a_failure_that_says_why() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"apt-get install ovn-central .*REQUIRE_OVN"):
        raise unavailable("OVN", "apt-get install ovn-central", {"CI": "true"})


def test_missing_program_is_named_with_its_package_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ovnk8s_topo.testing.tools._SYSTEM_PROGRAMS", ())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    # Only a shell on the PATH: LocalOvn's watchdog needs one.
    (tmp_path / "bin").mkdir()
    for name in ("sh", "rm"):
        (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(OvnNotInstalled, match=r"ovsdb-tool not found.*ovn-central"), LocalOvn():
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "bin"]


def test_missing_schema_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ovnk8s_topo.testing import tools

    monkeypatch.setattr(tools, "_SCHEMA_DIRECTORIES", (str(tmp_path),))
    monkeypatch.delenv("OVN_SCHEMA_DIR", raising=False)
    with pytest.raises(OvnNotInstalled, match=r"ovn-nb\.ovsschema not found.*OVN_SCHEMA_DIR"):
        tools.schema("ovn-nb")


@pytest.mark.parametrize("variable", ["OVN_SCHEMA_DIR", "pkgdatadir"])
def test_schema_directory_of_the_environment_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    from ovnk8s_topo.testing import tools

    monkeypatch.delenv("OVN_SCHEMA_DIR", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    (tmp_path / "ovn-nb.ovsschema").write_text("{}")
    assert tools.schema("ovn-nb") == tmp_path / "ovn-nb.ovsschema"


def test_a_server_that_was_not_asked_for_is_named() -> None:
    ovn = LocalOvn()
    for connection in ("sb", "tcp", "ssl", "client_tls"):
        with pytest.raises(ValueError, match="started without"):
            getattr(ovn, connection)
    with pytest.raises(ValueError, match="count_requests=True"):
        ovn.txn_requests()


def test_memory_nb_is_new_for_every_test(memory_nb: object) -> None:
    from ovnk8s_topo.backends import MemoryNb

    assert isinstance(memory_nb, MemoryNb)
