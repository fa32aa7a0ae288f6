"""The Kubernetes objects in a document, Lists taken apart."""

from __future__ import annotations

from collections.abc import Iterator

from ovnk8s_topo.sources.documents import Document, Path, value_at
from ovnk8s_topo.sources.found import Found, shown

MAX_LISTS = 20
"""Lists inside of lists."""


def objects_in(document: Document) -> Iterator[tuple[str, str, Found]]:
    """Yield the objects of one document as (apiVersion, kind, object).

    The items of a typed list, e.g. a PodList, may leave out apiVersion and kind, as the API server does. What is no
    object at all is yielded with an empty kind and a problem.
    """
    if document.value is not None:
        yield from _objects(document, (), "", "")


def _objects(document: Document, path: Path, version: str, kind: str) -> Iterator[tuple[str, str, Found]]:
    found = Found(document, path, subject=_default_subject(path))
    value = found.value
    if not isinstance(value, dict):
        found.refuse((), "must be a Kubernetes object, a mapping with apiVersion and kind", shown(value))
        yield "", "", found
        return
    version, kind = found.text("apiVersion") or version, found.text("kind") or kind
    if kind.endswith("List") and ("items" in value or kind == "List"):
        yield from _items(found, version, kind)
        return
    for key, text in (("kind", kind), ("apiVersion", version)):
        if not text and not found.problems:
            found.refuse((), f"must have the field {key}")
    yield version, kind if not found.problems else "", found


def _items(found: Found, version: str, kind: str) -> Iterator[tuple[str, str, Found]]:
    items = value_at(found.value, ("items",))
    if len(found.path) >= 2 * MAX_LISTS:
        found.refuse((), f"is a list inside of {MAX_LISTS} lists")
    elif items is not None and not isinstance(items, list):
        found.refuse(("items",), "must be a list", shown(items))
    if found.problems:
        yield "", "", found
        return
    inner = kind.removesuffix("List")
    for index in range(len(items or ())):
        yield from _objects(found.document, (*found.path, "items", index), version if inner else "", inner)


def _default_subject(path: Path) -> str:
    return f"item {path[-1]} of the list" if path else ""
