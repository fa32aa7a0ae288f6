"""JSON as Go writes it: numbers, escapes, indentation."""

from __future__ import annotations

import pytest

from ovnk8s_topo.spec.go_json import parse
from ovnk8s_topo.spec.go_writer import generic, json_text, text_from_float


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.25e-10, "1.25e-10"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (123456789012345678.0, "123456789012345680"),
        (-1.7976931348623157e308, "-1.7976931348623157e+308"),
    ],
)
def test_floats(value: float, text: str) -> None:
    assert text_from_float(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(
            "<a>&\u2028\u2029é\x7f\x01\n", '"\\u003ca\\u003e\\u0026\\u2028\\u2029é\x7f\\u0001\\n"', id="escapes"
        ),
        pytest.param([None, True, 12345678901234567890, ()], "[null,true,12345678901234567890,[]]", id="plain"),
        pytest.param({"b": {}, "a": [1.0]}, '{"b":{},"a":[1]}', id="in the given order"),
    ],
)
def test_one_line(value: object, text: str) -> None:
    assert json_text(value) == text


def test_several_lines() -> None:
    assert json_text({"a": [1, {"b": []}], "c": {}}, indent=2) == (
        '{\n  "a": [\n    1,\n    {\n      "b": []\n    }\n  ],\n  "c": {}\n}'
    )


def test_maps_are_sorted_as_go_reads_them() -> None:
    assert (
        json_text(generic(parse('{"é":1,"b":{"z":0,"y":[1e2]},"B":null}'))) == '{"B":null,"b":{"y":[100],"z":0},"é":1}'
    )
