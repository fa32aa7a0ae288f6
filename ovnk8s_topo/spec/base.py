"""What all models share: frozen, strict about unknown fields, and faults in this library's own error tree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from ovnk8s_topo.errors import Problem, SpecError


class Spec(BaseModel):
    """A frozen value that cannot be built wrong.

    SpecError  from the constructor, with every fault of every field
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, arbitrary_types_allowed=True)

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SpecError(problems_from_validation(error)) from error


def problems_from_validation(error: ValidationError) -> Iterable[Problem]:
    """Translate pydantic's report; faults that our own rules raised keep their texts and get the outer path."""
    for detail in error.errors(include_url=False):
        path = path_text(detail["loc"])
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


def _why(detail: ErrorDetails, cause: object) -> str:
    if isinstance(cause, Exception):
        return str(cause)
    if detail["type"] == "extra_forbidden":
        return "there is no such field"
    return detail["msg"][:1].lower() + detail["msg"][1:]


def _given(detail: ErrorDetails) -> str:
    value = detail.get("input")
    return repr(value) if isinstance(value, str | int | float | bool) else ""
