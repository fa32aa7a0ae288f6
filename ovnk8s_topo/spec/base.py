"""What all models share: frozen, strict about unknown fields, and faults in this library's own error tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from ovnk8s_topo.errors import Problem, SpecError


class Spec(BaseModel):
    """A frozen value that cannot be built wrong.

    SpecError  from the constructor, with every fault of every field
    """

    union_tags: ClassVar[frozenset[str]] = frozenset()
    """Values that tell the members of a union field apart; pydantic puts them into the paths of faults."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, arbitrary_types_allowed=True, defer_build=True
    )

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SpecError(problems_from_validation(error, self.union_tags)) from error


def problems_from_validation(error: ValidationError, union_tags: frozenset[str] = frozenset()) -> Iterable[Problem]:
    """Translate pydantic's report; faults that our own rules raised keep their texts and get the outer path.

    union_tags  parts of paths to leave out, for they name no field
    """
    for detail in error.errors(include_url=False):
        path = path_text(part for part in (*detail["loc"], *_discriminator(detail)) if part not in union_tags)
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, SpecError):
            yield from (under(path, problem) for problem in cause.problems)
        else:
            yield Problem(path, _why(detail, cause), given=_given(detail))


def under(path: str, problem: Problem) -> Problem:
    """Return the problem with `path` put before its own."""
    joined = path + (problem.path if problem.path.startswith("[") or not path else f".{problem.path}".rstrip("."))
    return Problem(joined or problem.path, problem.why, problem.given, problem.subject, problem.position)


def path_text(parts: Iterable[str | int]) -> str:
    """Join a field path as ``networks[0].vlanID``."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _discriminator(detail: ErrorDetails) -> Iterator[str]:
    """Yield the field that should tell which member of a union it is, if that is the fault."""
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        yield _unquoted(detail["ctx"]["discriminator"])


def _unquoted(text: str) -> str:
    return text.strip("'")


def _why(detail: ErrorDetails, cause: object) -> str:
    if isinstance(cause, Exception):
        return str(cause)
    if detail["type"] == "extra_forbidden":
        return "there is no such field"
    if detail["type"] == "too_short":
        return f"must have at least {detail['ctx']['min_length']} entry"
    if detail["type"] == "union_tag_not_found":
        return "field required"
    if detail["type"] == "union_tag_invalid":
        return f"{_unquoted(detail['ctx']['discriminator'])} {detail['ctx']['tag']} not supported"
    return detail["msg"][:1].lower() + detail["msg"][1:]


def _given(detail: ErrorDetails) -> str:
    value = detail.get("input")
    return repr(value) if isinstance(value, str | int | float | bool) else ""
