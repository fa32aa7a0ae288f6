"""Somebody else's documents, read into the words of `spec`.

Law: one file per foreign format; whatever the bytes are, the outcome is a topology or a SpecError that names file,
line, column and field of every fault; the order of documents never matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike

from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.sources.collection import Collection, setting_from_cluster
from ovnk8s_topo.sources.documents import Stream, read_stream, stream_from_text
from ovnk8s_topo.sources.found import Notice
from ovnk8s_topo.spec import Cluster, Style, Topology

__all__ = ["Manifests", "Notice", "read_manifests", "read_text"]


@dataclass(frozen=True, slots=True)
class Manifests:
    """What the documents describe.

    topology  sorted by name; with `keep_going` its gaps name what is left out
    problems  what is left out, and why; empty without `keep_going`
    notices   what is no fault but worth knowing, e.g. a field that has no effect
    ignored   kind -> number of objects that are nobody's business here
    """

    topology: Topology
    problems: tuple[Problem, ...] = ()
    notices: tuple[Notice, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)


def read_manifests(
    files: Iterable[str | PathLike[str]],
    *,
    style: Style = "2024",
    lenient: bool = False,
    keep_going: bool = False,
    cluster: Cluster | None = None,
) -> Manifests:
    """Read NetworkAttachmentDefinitions, Nodes, Pods and IPAMClaims, as `kubectl get -o yaml` or `-o json` prints them.

    files       paths of YAML or JSON streams; ``-`` is the standard input
    style       which release of OVN-Kubernetes the rows shall follow
    lenient     take comments out of the JSON in `spec.config`; Kubernetes refuses them
    keep_going  leave out what is at fault, and name it in `problems` and in the topology's gaps
    cluster     what the networks share their address space with

    SpecError  without `keep_going`: every fault of every document, in the order of files and lines
    """
    files = [files] if isinstance(files, str | PathLike) else files
    return _manifests([read_stream(file) for file in files], style, lenient, keep_going, cluster)


def read_text(
    text: str,
    name: str = "<stdin>",
    *,
    style: Style = "2024",
    lenient: bool = False,
    keep_going: bool = False,
    cluster: Cluster | None = None,
) -> Manifests:
    """Read documents from a text; `name` is what messages call it. The rest is as in `read_manifests`."""
    return _manifests([stream_from_text(text, name)], style, lenient, keep_going, cluster)


def _in_order(problems: Iterable[Problem], streams: Sequence[Stream]) -> tuple[Problem, ...]:
    """Sort by file, in the order of the call, and place; what has no place comes last."""
    files = {stream.name: index for index, stream in reversed([*enumerate(streams)])}

    def place(problem: Problem) -> tuple[int, int, int]:
        position = problem.position
        return (files.get(position.file, 0), position.line, position.column) if position else (len(files), 0, 0)

    return tuple(sorted(problems, key=place))


def _manifests(
    streams: Sequence[Stream], style: Style, lenient: bool, keep_going: bool, cluster: Cluster | None
) -> Manifests:
    collection = Collection(setting_from_cluster(cluster), lenient)
    for stream in streams:
        collection.add(stream)
    collection.finish()
    problems = _in_order(collection.problems, streams)
    if problems and not keep_going:
        raise SpecError(problems)
    return Manifests(
        collection.topology(style),
        problems,
        tuple(collection.notices),
        dict(sorted(collection.ignored.items())),
    )
