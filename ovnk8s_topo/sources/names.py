"""Names and namespaces of Kubernetes objects."""

from __future__ import annotations

import re

from ovnk8s_topo.sources.found import Found

ANNOTATIONS = ("metadata", "annotations")
MAX_ANNOTATIONS = 256 << 10
"""Of one object (k8s.io/apimachinery TotalAnnotationSizeLimitB)."""

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)


def read_name(found: Found) -> str:
    """Return `metadata.name`, or "" with a problem if it is none (k8s.io/apimachinery NameIsDNSSubdomain)."""
    if value_is_missing(found, "metadata"):
        found.refuse((), "must have the field metadata.name")
        return ""
    before = len(found.problems)
    found.mapping("metadata")
    name = found.text("metadata", "name")
    if name and (len(name) > 253 or not _SUBDOMAIN.fullmatch(name)):
        found.refuse(("metadata", "name"), f"{_SUBDOMAIN_RULE}; at most 253 characters", repr(name))
    elif not name and len(found.problems) == before:
        found.refuse(("metadata",), "must have the field metadata.name")
    return name if len(found.problems) == before else ""


def read_namespace(found: Found) -> str:
    """Return `metadata.namespace`, ``default`` where it is absent, or "" with a problem."""
    before = len(found.problems)
    namespace = found.text("metadata", "namespace") or "default"
    if len(namespace) > 63 or not _LABEL.fullmatch(namespace):
        found.refuse(("metadata", "namespace"), f"{_LABEL_RULE}; at most 63 characters", repr(namespace))
    return namespace if len(found.problems) == before else ""


def read_annotations(found: Found) -> dict[str, str]:
    """Return `metadata.annotations`; more than Kubernetes keeps is a problem and not looked at."""
    annotations = found.texts(*ANNOTATIONS)
    size = sum(len(key) + len(value) for key, value in annotations.items())
    if size > MAX_ANNOTATIONS:
        found.refuse(ANNOTATIONS, f"must not be larger than {MAX_ANNOTATIONS >> 10} KiB all together")
        return {}
    return annotations


def value_is_missing(found: Found, key: str) -> bool:
    """Tell whether a field is absent or null."""
    return found.value.get(key) is None
