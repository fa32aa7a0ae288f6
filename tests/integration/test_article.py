"""The cluster of a 2023 article, rebuilt: our rows against what its `ovn-nbctl find` printed, column by column."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from ovn_chassis import register_chassis

from ovnk8s_topo import cli
from ovnk8s_topo.testing import LocalOvn, OvnNbContainer

ROOT = Path(__file__).parents[2]
ARTICLE = ROOT / "examples" / "article"
PRINTED = (ROOT / "tests" / "golden" / "article" / "ovn-nbctl.txt").read_text()

MANIFESTS = [str(ARTICLE / name) for name in ("nads.yaml", "nodes.yaml", "pods.yaml")]
BEFORE_THE_PODS = {"localnet.network_ovn_localnet_switch"}
"""Printed in the article before its pods came."""

Nbctl = Callable[..., str]


def records(text: str) -> dict[str, dict[str, str]]:
    """Parse what `ovn-nbctl find` prints: records by name, columns as printed."""
    found = {}
    for block in text.strip().split("\n\n"):
        columns = dict(re.split(r" *: ", line, maxsplit=1) for line in block.splitlines())
        found[columns["name"].strip('"')] = columns
    return found


ARTICLE_ROWS = records(PRINTED)


def comparable(columns: dict[str, str]) -> dict[str, str]:
    """Columns as printed, without our mark, with uuids counted, and without what needs a running chassis."""
    return {
        column: f"{len(re.findall('[0-9a-f-]{36}', text))} rows" if column in ("ports", "copp") else without_mark(text)
        for column, text in columns.items()
        if column not in ("_uuid", "up")
    }


def without_mark(text: str) -> str:
    if not text.startswith("{"):
        return text
    pairs = [pair for pair in text[1:-1].split(", ") if not pair.startswith('"ovnk8s-topo/')]
    return "{" + ", ".join(pairs) + "}"


def table_of(columns: dict[str, str]) -> str:
    if "addresses" in columns:
        return "Logical_Switch_Port"
    return "Logical_Router" if "nat" in columns else "Logical_Switch"


def apply(connection: str, *files: str) -> int:
    return cli.main(["apply", "--style", "2023", "--nb", connection, *files])


def assert_article(connection: str, nbctl: Nbctl) -> None:
    assert apply(connection, *MANIFESTS[:2]) == 0
    early = {name: find(nbctl, name) for name in BEFORE_THE_PODS}
    assert apply(connection, *MANIFESTS) == 0
    for name, printed in ARTICLE_ROWS.items():
        ours = early.get(name) or find(nbctl, name)
        assert comparable(ours) == comparable(printed), name


def find(nbctl: Nbctl, name: str) -> dict[str, str]:
    return records(nbctl("find", table_of(ARTICLE_ROWS[name]), f"name={name}"))[name]


def test_article_has_the_rows_that_it_printed() -> None:
    assert len(ARTICLE_ROWS) == 11


def test_rows_are_the_articles_on_a_local_server(local_ovn: LocalOvn) -> None:
    register_chassis(local_ovn, ["master001", "work001", "work002"])
    assert_article(local_ovn.nb, local_ovn.nbctl)
    # northd keeps the first address of a switch's subnet for a router, but OVN-Kubernetes gives it to the first pod.
    assert [text.partition(": ")[2].partition(": ")[2] for text in local_ovn.northd_warnings()] == [
        "Duplicate IP set: 10.22.0.1"
    ]


def test_rows_are_the_articles_in_a_container(container_nb: OvnNbContainer) -> None:
    assert_article(container_nb.connection, container_nb.nbctl)
    assert cli.main(["destroy", "--nb", container_nb.connection]) == 0
    assert container_nb.nbctl("ls-list") == container_nb.nbctl("lr-list") == ""


def test_second_apply_sends_nothing(local_ovn: LocalOvn, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(local_ovn.nb, *MANIFESTS) == 0
    # northd writes to the database too, until it has caught up.
    local_ovn.sync()
    before = local_ovn.transaction_count()
    capsys.readouterr()
    assert apply(local_ovn.nb, *MANIFESTS) == 0
    assert capsys.readouterr().out.startswith("unchanged: ")
    assert local_ovn.transaction_count() == before


def test_other_names_than_the_articles_are_noticed(local_ovn: LocalOvn) -> None:
    """The comparison itself can fail: the 2024 rows are not those of the article."""
    assert cli.main(["apply", "--nb", local_ovn.nb, *MANIFESTS]) == 0
    name = "localnet.network_ovn_localnet_port"
    assert comparable(find(local_ovn.nbctl, name)) != comparable(ARTICLE_ROWS[name])
