"""The command `ovnk8s-topo`: flags and exit codes, nothing else.

Law: data goes to stdout, messages to stderr, and no traceback to anybody.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer

from ovnk8s_topo.backends.connect import nb_from_connection
from ovnk8s_topo.backends.contract import NbBackend
from ovnk8s_topo.errors import NotReached, OutcomeUnknown, PruneRefused, TopoError
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.reconciler import DEFAULT_OWNER, Reconciler, Result
from ovnk8s_topo.render.json import json_from_snapshot
from ovnk8s_topo.render.text import summary, text_from_snapshot
from ovnk8s_topo.render.told import json_from_told, text_from_told
from ovnk8s_topo.sources import Manifests, read_manifests
from ovnk8s_topo.spec import Cluster

OK, ERROR, CHANGES, PRUNE_REFUSED, OUTCOME_UNKNOWN, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit codes. Bad usage is an ERROR too: 2 says that there are changes."""

FORGETFUL = "memory:"
"""The default database: empty at the start, gone at the end."""

WRITING = ("apply", "destroy")

app = typer.Typer(
    name="ovnk8s-topo",
    help="Make an OVN Northbound database hold what OVN-Kubernetes networks ask for.",
    epilog="Exit codes: 0 done, 1 error, 2 changes (plan --detailed-exitcode), 3 prune refused, 4 outcome unknown.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class Format(StrEnum):
    """How data is printed."""

    text = "text"
    json = "json"


class StyleName(StrEnum):
    """Which release's rows are written."""

    y2023 = "2023"
    y2024 = "2024"


class FixedAddresses(StrEnum):
    """What becomes of pods that ask for addresses."""

    refuse = "refuse"
    honour = "honour"


class Atomic(StrEnum):
    """What is written wholly or not at all."""

    topology = "topology"
    unit = "unit"


class Wait(StrEnum):
    """What to wait for."""

    nb = "nb"
    sb = "sb"
    hv = "hv"


Files = Annotated[list[str], typer.Argument(metavar="FILE", help="YAML or JSON manifests; - reads stdin.")]
Nb = Annotated[
    str,
    typer.Option(
        envvar="OVN_NB_DB",
        help="memory:, memory:FILE, unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT; several joined by commas.",
    ),
]
PrivateKey = Annotated[str | None, typer.Option("--private-key", help="PEM file, for ssl:.")]
Certificate = Annotated[str | None, typer.Option("--certificate", help="PEM file, for ssl:.")]
CaCert = Annotated[str | None, typer.Option("--ca-cert", help="PEM file, for ssl:.")]
Owner = Annotated[str, typer.Option(help="Name that our rows carry; rows of others are never touched.")]
Style = Annotated[StyleName, typer.Option(help="Release of OVN-Kubernetes whose rows are written.")]
Fixed = Annotated[
    FixedAddresses,
    typer.Option("--fixed-addresses", help="What becomes of pods that ask for an address of a network with subnets."),
]
Prune = Annotated[bool, typer.Option("--prune", help="Delete our rows that the manifests do not describe.")]
MassDelete = Annotated[bool, typer.Option("--allow-mass-delete", help="Let --prune delete many rows at once.")]
Adopt = Annotated[bool, typer.Option("--adopt", help="Take over rows that have the right name and no owner.")]
Lenient = Annotated[bool, typer.Option("--lenient", help="Accept comments inside the JSON of spec.config.")]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Leave out what is faulty, do the rest, and exit with 1.")
]
AtomicIn = Annotated[
    Atomic, typer.Option(help="One transaction for all, or several of whole networks, nodes and attachments.")
]
WaitFor = Annotated[Wait, typer.Option("--wait", help="Wait for the commit, for northd, or for every chassis.")]
Timeout = Annotated[float, typer.Option(min=0.1, max=86400, help="Deadline in seconds.")]
OutputFormat = Annotated[Format, typer.Option("--format", help="How data is printed.")]


@app.command()
def plan(
    files: Files,
    nb: Nb = FORGETFUL,
    owner: Owner = DEFAULT_OWNER,
    style: Style = StyleName.y2024,
    fixed_addresses: Fixed = FixedAddresses.refuse,
    prune: Prune = False,
    allow_mass_delete: MassDelete = False,
    adopt: Adopt = False,
    lenient: Lenient = False,
    keep_going: KeepGoing = False,
    timeout: Timeout = 30.0,
    output: OutputFormat = Format.text,
    private_key: PrivateKey = None,
    certificate: Certificate = None,
    ca_cert: CaCert = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 if there are changes.")
    ] = False,
) -> int:
    """Print what apply would change. Writes nothing."""
    manifests = _read(files, style, fixed_addresses, lenient, keep_going)
    with _open(nb, private_key, certificate, ca_cert) as backend:
        made = Reconciler(backend, owner=owner, timeout_s=timeout).plan(
            manifests.topology, prune=prune, allow_mass_delete=allow_mass_delete, adopt=adopt, keep_going=keep_going
        )
    _print(made.to_dict() if output is Format.json else str(made))
    if _report(manifests, made):
        return ERROR
    return CHANGES if detailed_exitcode and not made.is_empty else OK


@app.command()
def apply(
    files: Files,
    nb: Nb = FORGETFUL,
    owner: Owner = DEFAULT_OWNER,
    style: Style = StyleName.y2024,
    fixed_addresses: Fixed = FixedAddresses.refuse,
    prune: Prune = False,
    allow_mass_delete: MassDelete = False,
    adopt: Adopt = False,
    lenient: Lenient = False,
    keep_going: KeepGoing = False,
    atomic: AtomicIn = Atomic.topology,
    wait: WaitFor = Wait.nb,
    timeout: Timeout = 30.0,
    output: OutputFormat = Format.text,
    private_key: PrivateKey = None,
    certificate: Certificate = None,
    ca_cert: CaCert = None,
) -> int:
    """Write what the manifests describe."""
    manifests = _read(files, style, fixed_addresses, lenient, keep_going)
    if nb == FORGETFUL:
        _say("note: memory: is gone when this command ends; --nb names a file or a server")
    with _open(nb, private_key, certificate, ca_cert) as backend:
        done = Reconciler(backend, owner=owner, timeout_s=timeout).apply(
            manifests.topology,
            prune=prune,
            allow_mass_delete=allow_mass_delete,
            adopt=adopt,
            keep_going=keep_going,
            atomic=atomic.value,
            wait=wait.value,
        )
    _print_result(done, output)
    return ERROR if _report(manifests, done.plan) else OK


@app.command("annotations")
def annotate(
    files: Files,
    nb: Nb = FORGETFUL,
    owner: Owner = DEFAULT_OWNER,
    style: Style = StyleName.y2024,
    fixed_addresses: Fixed = FixedAddresses.refuse,
    adopt: Adopt = False,
    lenient: Lenient = False,
    keep_going: KeepGoing = False,
    timeout: Timeout = 30.0,
    output: OutputFormat = Format.text,
    private_key: PrivateKey = None,
    certificate: Certificate = None,
    ca_cert: CaCert = None,
) -> int:
    """Print what pods and nodes are to be told. Writes nothing."""
    manifests = _read(files, style, fixed_addresses, lenient, keep_going)
    with _open(nb, private_key, certificate, ca_cert) as backend:
        made = Reconciler(backend, owner=owner, timeout_s=timeout).plan(
            manifests.topology, adopt=adopt, keep_going=keep_going
        )
    _print(json_from_told(made.told) if output is Format.json else text_from_told(made.told))
    return ERROR if _report(manifests, made) else OK


@app.command()
def show(
    nb: Nb = FORGETFUL,
    owner: Annotated[str | None, typer.Option(help="Show only rows of this owner.")] = None,
    timeout: Timeout = 30.0,
    output: OutputFormat = Format.text,
    private_key: PrivateKey = None,
    certificate: Certificate = None,
    ca_cert: CaCert = None,
) -> int:
    """Print the switches, routers and ports of the database."""
    with _open(nb, private_key, certificate, ca_cert) as backend:
        snapshot = backend.snapshot(timeout_s=timeout)
    if output is Format.json:
        _print(json_from_snapshot(snapshot, owner))
    elif text := text_from_snapshot(snapshot, owner):
        _print(text)
    else:
        _say("no switches and no routers")
    return OK


@app.command()
def destroy(
    nb: Nb = FORGETFUL,
    owner: Owner = DEFAULT_OWNER,
    network: Annotated[list[str] | None, typer.Option(help="Only this network; may be repeated.")] = None,
    wait: WaitFor = Wait.nb,
    timeout: Timeout = 30.0,
    output: OutputFormat = Format.text,
    private_key: PrivateKey = None,
    certificate: Certificate = None,
    ca_cert: CaCert = None,
) -> int:
    """Delete every row of the owner. Rows of others stay as they are."""
    with _open(nb, private_key, certificate, ca_cert) as backend:
        done = Reconciler(backend, owner=owner, timeout_s=timeout).destroy(network or None, wait=wait.value)
    _print_result(done, output)
    if done.plan.is_empty:
        _say(f"note: {owner} has no rows" + (f" of {', '.join(network)}" if network else "") + " here")
    return OK


def _read(
    files: list[str], style: StyleName, fixed_addresses: FixedAddresses, lenient: bool, keep_going: bool
) -> Manifests:
    cluster = Cluster(fixed_addresses=fixed_addresses.value)
    return read_manifests(files, style=style.value, lenient=lenient, keep_going=keep_going, cluster=cluster)


@contextmanager
def _open(nb: str, private_key: str | None, certificate: str | None, ca_cert: str | None) -> Iterator[NbBackend]:
    with nb_from_connection(nb, private_key=private_key, certificate=certificate, ca_cert=ca_cert) as backend:
        yield backend


def _print(data: str | dict[str, Any]) -> None:
    typer.echo(data if isinstance(data, str) else json.dumps(data, indent=2))


def _print_result(done: Result, output: Format) -> None:
    if output is Format.json:
        _print({"status": done.status, "attempts": done.attempts, **done.plan.to_dict()})
    else:
        counts = done.plan.counts
        changed = f"{counts['insert']} inserted, {counts['update']} updated, {counts['delete']} deleted"
        left = summary(done.plan.changes, done.plan.leftovers).partition("; ")[2]
        _print(f"{done.status}: {changed}" + (f"; {left}" if left else ""))


def _report(manifests: Manifests, made: Plan) -> bool:
    """Tell on stderr what was ignored and what was left out; return whether anything was left out."""
    for kind, count in sorted(manifests.ignored.items()):
        _say(f"ignored: {count} x {kind}")
    for notice in (*manifests.notices, *made.desired.notices):
        _say(f"note: {notice}")
    if not manifests.topology.networks:
        _say("note: no network is described")
    problems = (*manifests.problems, *made.problems)
    for problem in problems:
        _say(f"left out: {problem}")
    return bool(problems)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        result = app(args=words, standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else OK
    except BrokenPipeError:
        # Whoever read our output has gone, e.g. `| head`; leave nothing for the interpreter to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        return _fail(error, writes=bool(words) and words[0] in WRITING)


def _fail(error: Exception, *, writes: bool) -> int:
    if "OVNK8S_TOPO_DEBUG" in os.environ:
        raise error
    match error:
        case typer.Exit():
            return error.exit_code
        case typer.Abort():
            return INTERRUPTED
        case typer.TyperException():
            _say(_usage_error(error.format_message()))
        case TopoError():
            _say_error(error, writes=writes)
        case _:
            _say(f"ovnk8s-topo: internal error: {type(error).__name__}: {error}; OVNK8S_TOPO_DEBUG=1 shows where")
    return _exit_code(error)


def _usage_error(text: str) -> str:
    if text.startswith("Usage:"):
        return text
    return f"ovnk8s-topo: {text.replace('Value error, ', '')}"


def _say_error(error: TopoError, *, writes: bool) -> None:
    for line in str(error).splitlines() or [type(error).__name__]:
        _say(f"error: {line}")
    for note in getattr(error, "__notes__", ()):
        _say(f"note: {note}")
    untouched = writes and not (error.written or isinstance(error, OutcomeUnknown | NotReached))
    _say(f"nothing was written: {error.remedy.value}" if untouched else error.remedy.value)


def _exit_code(error: Exception) -> int:
    match error:
        case PruneRefused():
            return PRUNE_REFUSED
        case OutcomeUnknown():
            return OUTCOME_UNKNOWN
        case _:
            return ERROR


if __name__ == "__main__":
    sys.exit(main())
