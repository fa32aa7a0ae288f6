"""Reading parsed JSON into named, typed fields, with the rules and texts of Go's encoding/json.

Rules: keys match without regard to case, an exact match first; unknown keys are ignored; null leaves a field as it
was; a value of the wrong type is an error, and reading goes on behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ovnk8s_topo.spec.go_json import Json

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class TypeFault:
    """A value of the wrong type: Go's text, where it starts, and the keys that lead to it."""

    why: str
    offset: int
    path: tuple[str | int, ...] = ()


@dataclass(slots=True)
class Place:
    """Where reading stands, as far as messages need it: the struct, and the fields from the outermost one."""

    root: str
    struct: str = ""
    stack: tuple[str, ...] = ()
    path: tuple[str | int, ...] = ()
    faults: list[TypeFault] = field(default_factory=list)

    def refuse(self, node: Json, go_type: str) -> None:
        """Note that `node` does not fit `go_type`."""
        number = f"number {node.value}" if go_type in ("int", "uint") else "number"
        given = number if node.kind == "number" else node.kind
        where = f"struct field {'.'.join((self.struct, *self.stack))}" if self.struct else "value"
        self.note(node, f"json: cannot unmarshal {given} into Go {where} of type {go_type}")

    def note(self, node: Json, why: str) -> None:
        """Note a fault that has a text of its own."""
        self.faults.append(TypeFault(why, node.offset, self.path))

    def inside(self, step: str | int, *, stack: str = "", struct: str = "") -> Place:
        """Return the place of a child; faults go to the same list."""
        names = tuple(stack.split(".")) if stack else ()
        return Place(self.root, struct or self.struct, self.stack + names, (*self.path, step), self.faults)


Reader = Callable[[Json, object, Place], object]
"""Reads a node over the present value of its field and returns the new one."""


def string(node: Json, present: object, place: Place) -> object:
    """Read a Go string."""
    return _scalar(node, present, place, "string", "string")


def boolean(node: Json, present: object, place: Place) -> object:
    """Read a Go bool."""
    return _scalar(node, present, place, "bool", "bool")


def _scalar(node: Json, present: object, place: Place, kind: str, go_type: str) -> object:
    if node.kind == kind:
        return node.value
    if node.kind != "null":
        place.refuse(node, go_type)
    return present


def integer(node: Json, present: object, place: Place) -> object:
    """Read a Go int: 64 bits, and only digits, so not even 1400.0."""
    if node.kind == "number" and _INTEGER.fullmatch(str(node.value)) and -(1 << 63) <= int(str(node.value)) < 1 << 63:
        return int(str(node.value))
    if node.kind != "null":
        place.refuse(node, "int")
    return present


def anything(node: Json, present: object, place: Place) -> object:
    """Read a Go interface{}."""
    return node.plain()


def list_of(read: Reader, go_type: str) -> Reader:
    """Make a reader of a slice; `go_type` e.g. ``[]string``."""

    def read_list(node: Json, present: object, place: Place) -> object:
        if node.kind == "array":
            return [read(item, None, place.inside(index)) for index, item in enumerate(node.items)]
        if node.kind != "null":
            place.refuse(node, go_type)
            return present
        return None

    return read_list


def map_of(read: Reader, go_type: str) -> Reader:
    """Make a reader of a map with text keys; `go_type` e.g. ``map[string]bool``."""

    def read_map(node: Json, present: object, place: Place) -> object:
        if node.kind == "object":
            return {key: read(value, None, place.inside(key)) for key, value in node.members}
        if node.kind != "null":
            place.refuse(node, go_type)
            return present
        return None

    return read_map


@dataclass(frozen=True, slots=True)
class Field:
    """How one key is read; `via` names the embedded struct that Go's messages put before the key."""

    read: Reader
    via: str = ""


@dataclass(frozen=True)
class Struct:
    """A Go struct: its short name, its full name (e.g. ``types.NetConf``) and its keys."""

    name: str
    go_type: str
    fields: Mapping[str, Field]

    def __call__(self, node: Json, present: object, place: Place) -> object:
        """Read an object over the fields that are known already."""
        if node.kind != "object":
            if node.kind != "null":
                place.refuse(node, self.go_type)
            return present
        values = dict(present) if isinstance(present, dict) else {}
        for key, value in node.members:
            name = self.field_of(key)
            if name is not None:
                known = self.fields[name]
                stack = f"{known.via}.{name}" if known.via else name
                inner = place.inside(name, stack=stack, struct=self.name)
                found = known.read(value, values.pop(name, None), inner)
                if found is not None:
                    values[name] = found
        return values

    def field_of(self, key: str) -> str | None:
        """Return the field that a key means: of exactly that name, else of that name in any case."""
        if key in self.fields:
            return key
        folded = key.casefold()
        return next((name for name in self.fields if name.casefold() == folded), None)


def read_into(read: Reader, node: Json) -> tuple[object, list[TypeFault]]:
    """Read a whole document; returns what was read and the faults in document order (Go reports the first)."""
    place = Place("")
    return read(node, None, place), place.faults
