"""What the documentation shows is run: a block that cannot be run or read has no business in it.

python   the blocks of one file are run in order, in one namespace and one directory; `>>>` is a doctest
console  ``$ command`` lines, each followed by exactly what it prints; ``> `` continues a command
yaml, json  are parsed, and read by `read_manifests` if they are documents that it knows; one that starts with a
         comment like ``# lan.yaml`` is written to that file, for the commands behind it
sh       in README.md alone: how to try it and how to test it
text, mermaid  are looked at by people only
"""

from __future__ import annotations

import doctest
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nb_rows
import pytest
from examples_here import EXAMPLES, RECORD, clean_environment, run
from ruamel.yaml import YAML

from ovnk8s_topo.sources import read_text

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
NB_ROWS = ROOT / "docs" / "reference" / "nb-rows.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

RUN = ("python", "console")
READ = ("yaml", "json")
UNCHECKED = ("text", "mermaid")

OFFLINE = re.compile(
    r"Connection|Temporary failure|Name or service|timed out|ProxyError|"
    r"No matching distribution|Could not find a version"
)
"""What pip says if it does not reach its registry."""


FILE_NAME = re.compile(r"# ([\w-]+\.(?:yaml|json))\n")


@dataclass(frozen=True)
class Block:
    """A fenced block: the document, the line of its first line of content (from 1), its language and its lines."""

    document: Path
    line: int
    language: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks_of(document: Path) -> list[Block]:
    found: list[Block] = []
    language, start, lines = None, 0, list[str]()
    for number, line in enumerate(document.read_text().splitlines(), start=1):
        fence = line.strip().startswith(("```", "~~~"))
        assert not fence or line.startswith("```"), f"{document}:{number}: fences start at the margin, with backticks"
        if fence and language is None:
            language, start, lines = line[3:].strip(), number + 1, []
        elif fence:
            found.append(Block(document, start, str(language), tuple(lines)))
            language = None
        elif language is not None:
            lines.append(line)
    assert language is None, f"{document}: a block has no end"
    return found


def id_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=id_of)
def test_every_block_says_what_it_is(document: Path) -> None:
    known = {*RUN, *READ, *UNCHECKED, *(["sh"] if document == README else [])}
    assert [str(block) for block in blocks_of(document) if block.language not in known] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=id_of)
def test_blocks_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    for name, value in clean_environment().items():
        monkeypatch.setenv(name, value)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(document):
        if block.language == "python":
            run_python(block, namespace)
        elif block.language == "console":
            check_console(block, tmp_path)
        elif named := FILE_NAME.match(block.text):
            (tmp_path / named[1]).write_text(block.text)


def run_python(block: Block, namespace: dict[str, Any]) -> None:
    if block.text.startswith(">>>"):
        test = doctest.DocTestParser().get_doctest(block.text, namespace, str(block), str(block.document), block.line)
        report: list[str] = []
        failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append, clear_globs=False)
        namespace.update(test.globs)
        assert not failed.failed, "".join(report)
        return
    # Empty lines before it make tracebacks point to the document's own lines.
    code = compile("\n" * (block.line - 1) + block.text, str(block.document), "exec", dont_inherit=True)
    exec(code, namespace)


def check_console(block: Block, cwd: Path) -> None:
    shown, actual = "\n".join(block.lines), "\n".join(transcript(block, cwd))
    if RECORD and shown != actual:
        text = block.document.read_text()
        assert text.count(shown) == 1
        block.document.write_text(text.replace(shown, actual))
        return
    assert actual == shown, f"{block}; OVNK8S_TOPO_RECORD=1 writes down what comes out"


def transcript(block: Block, cwd: Path) -> Iterator[str]:
    """Yield the block as it would be if its commands were typed now."""
    assert block.lines[0].startswith("$ "), f"{block}: must start with a command"
    command: list[str] = []
    for line in [*block.lines, "$ "]:
        if line.startswith("$ "):
            if command:
                yield from command
                yield from output_of(command, cwd)
            command = [line]
        elif line.startswith("> ") and command[-1].endswith("\\"):
            command.append(line)


def output_of(command: list[str], cwd: Path) -> list[str]:
    text = "\n".join(line[2:] for line in command)
    done = run(["bash", "-c", f"exec 2>&1\n{text}"], cwd)
    return done.stdout.splitlines()


@pytest.mark.parametrize("document", DOCUMENTS, ids=id_of)
def test_data_can_be_read(document: Path) -> None:
    for block in blocks_of(document):
        if block.language in READ:
            parsed = json.loads(block.text) if block.language == "json" else list(YAML(typ="safe").load_all(block.text))
            first = parsed[0] if isinstance(parsed, list) and parsed else parsed
            if isinstance(first, dict) and first.keys() & {"kind", "ovnk8s-topo"}:
                read_text(block.text, str(block))


LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=id_of)
def test_links_lead_somewhere(document: Path) -> None:
    targets = LINK.findall(document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_nb_rows_is_what_the_code_does() -> None:
    if RECORD:
        NB_ROWS.write_text(nb_rows.document())
    assert NB_ROWS.read_text() == nb_rows.document(), "OVNK8S_TOPO_RECORD=1 writes it anew"


def commands_of_readme() -> tuple[str, str]:
    trying, testing = (block.text.strip() for block in blocks_of(README) if block.language == "sh")
    return trying, testing


def test_the_readme_tests_as_ci_does() -> None:
    _, testing = commands_of_readme()
    script = testing.removeprefix("./")
    assert (ROOT / script).is_file()
    assert os.access(ROOT / script, os.X_OK)
    gate = ROOT / ".ci" / "run"
    if gate.exists():  # it is not part of a source distribution
        last = gate.read_text().split("\n")[-2]
        assert last in (f"exec ./{script}", f"exec bash {script}", f"./{script}", f"bash {script}")


def test_the_readme_tries_as_it_says(tmp_path: Path) -> None:
    trying, _ = commands_of_readme()
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    env = clean_environment(PIP_DISABLE_PIP_VERSION_CHECK="1")
    env.pop("PYTHONWARNINGS")  # pip's own warnings are not ours
    done = run(["bash", "-c", trying], copy, env)
    if done.returncode != 0 and OFFLINE.search(done.stderr):
        reason = f"pip does not reach its registry: {done.stderr.strip().splitlines()[-1]}"
        if os.environ.get("CI", "").lower() in ("1", "true", "yes", "on"):
            pytest.fail(reason)
        pytest.skip(reason)
    assert done.returncode == 0, done.stderr
    files = sorted((EXAMPLES / "article").glob("*.yaml"))
    here = run([str(Path(sys.executable).with_name("ovnk8s-topo")), "plan", *map(str, files)], tmp_path)
    assert done.stdout == here.stdout
    assert done.stdout.count("+ Logical_Switch_Port kube.system.") == 6
