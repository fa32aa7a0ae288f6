"""From `spec.config` of a definition to the configuration that plug-ins get.

Source: network-attachment-definition-client pkg/utils/cniconfig.go; multus-cni pkg/types/conf.go; libcni.
"""

from __future__ import annotations

from collections.abc import Mapping

from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.sources.netconf import NetConfError, list_parts
from ovnk8s_topo.spec.go_json import GoJsonError, Json, parse
from ovnk8s_topo.spec.go_writer import generic, json_text

Members = Mapping[str, object]
"""A configuration as Go reads it into a map: keys sorted, numbers as float."""

_UNMARSHAL = "failed to unmarshal Spec.Config: "
_FROM_FILE = "GetCNIConfig: err in GetCNIConfigFromFile: "
_FROM_SPEC = "GetCNIConfig: err in getCNIConfigFromSpec: "
_EXTENSIONS = (".conf", ".json", ".conflist")


def _refusal(why: str) -> SpecError:
    return SpecError([Problem("", why)])


def _parsed(text: str, prefix: str) -> Json:
    try:
        return parse(text)
    except GoJsonError as error:
        raise _refusal(prefix + str(error)) from error


def members_from_config(text: str, prefix: str = "") -> dict[str, object]:
    """Read a configuration.

    prefix  is put before Go's message

    SpecError  not a JSON object, or a number that is too large
    """
    tree = _parsed(text, prefix)
    try:
        found = generic(tree)
    except ValueError as error:
        raise _refusal(prefix + str(error)) from error
    if not isinstance(found, dict):
        if found is None:
            raise _refusal(f"{prefix}must be an object (the client library crashes on null)")
        raise _refusal(f"{prefix}json: cannot unmarshal {tree.kind} into Go value of type map[string]interface {{}}")
    return found


def encoded(config: Members) -> str:
    """Write a configuration as Go writes a map: keys sorted at every level, no blanks."""
    return json_text(_sorted(config))


def _sorted(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value


def config_with_name(text: str, name: str) -> str:
    """Return the configuration as it is if it has a name, else with the definition's name put in.

    SpecError  not a JSON object

    Only the exact key `name` counts, and only "" or its absence; ``null`` and numbers stay. Follows
    GetCNIConfigFromSpec; OVN-Kubernetes reads `spec.config` itself and puts no name in.
    """
    config = members_from_config(text, _UNMARSHAL)
    if config.get("name", "") != "":
        return text
    return encoded({**config, "name": name})


def cni_config(text: str, name: str, files: Mapping[str, str], conf_dir: str) -> str:
    """Return the configuration of a definition, from its text or, if that is empty, from a file of its name.

    text      `spec.config`
    name      the definition's, without namespace
    files     name -> content of the files in `conf_dir`, a path for messages

    SpecError  with the texts of GetCNIConfig
    """
    try:
        return config_with_name(text, name) if text else config_from_files(name, files, conf_dir)
    except SpecError as error:
        prefix = _FROM_SPEC if text else _FROM_FILE
        raise _refusal(prefix + error.problems[0].why) from error


def config_from_files(name: str, files: Mapping[str, str], conf_dir: str) -> str:
    """Return the content of the first file, by name, whose configuration has this name.

    SpecError  no file, none of the name, or a file before it that is at fault

    Follows GetCNIConfigFromFile.
    """
    fitting = sorted(file for file in files if file.endswith(_EXTENSIONS))
    if not fitting:
        raise _refusal(f"No networks found in {conf_dir}")
    for file in fitting:
        if _matches(name, f"{conf_dir}/{file}", files[file]):
            return files[file]
    raise _refusal(f"no network available in the name {name} in cni dir {conf_dir}")


def _matches(name: str, path: str, text: str) -> bool:
    if path.endswith(".conflist"):
        return _list_name(text, f"Error loading CNI conflist file {path}: ") == name
    prefix = f"Error loading CNI config file {path}: "
    config = members_from_config(text, f"{prefix}error parsing configuration: ")
    if config.get("name", "") != name:
        return False
    if not config.get("type"):
        raise _refusal(f"{prefix}no 'type'; perhaps this is a .conflist?")
    return True


def _list_name(text: str, prefix: str) -> str:
    members_from_config(text, f"{prefix}error parsing configuration list: ")
    try:
        return list_parts(parse(text))[0]
    except NetConfError as error:
        raise _refusal(prefix + error.faults[0].why) from error


def plugins_of(config: Members) -> list[dict[str, object]]:
    """Return the configurations of the single plug-ins: of a list all, else the configuration itself."""
    plugins = config.get("plugins")
    if config.get("type") or not isinstance(plugins, list):
        return [dict(config)]
    return [dict(plugin) for plugin in plugins if isinstance(plugin, Mapping)]


def _with_plugins(config: Members, plugins: list[dict[str, object]]) -> dict[str, object]:
    if config.get("type") or not isinstance(config.get("plugins"), list):
        return plugins[0]
    return {**config, "plugins": plugins}


def with_cni_args(config: Members, cni_args: Mapping[str, object]) -> dict[str, object]:
    """Merge `cni-args` into ``args.cni`` of every plug-in; the annotation goes before what is there.

    SpecError  `args` or ``args.cni`` is there and no object, or a number is too large
    """
    added = members_from_config(json_text(cni_args), "cni-args: ")
    return _with_plugins(config, [_with_args(plugin, added) for plugin in plugins_of(config)])


def _with_args(plugin: Members, cni_args: Members) -> dict[str, object]:
    args = plugin.get("args") or {}
    cni = args.get("cni") or {} if isinstance(args, Mapping) else None
    if not isinstance(args, Mapping) or not isinstance(cni, Mapping):
        raise _refusal("args and args.cni must be objects to take cni-args")
    return {**plugin, "args": {**args, "cni": {**cni, **cni_args}}}


def with_device_id(config: Members, device_id: str) -> dict[str, object]:
    """Put the id of a device into every plug-in, under both keys that are in use."""
    named = {"deviceID": device_id, "pciBusID": device_id}
    return _with_plugins(config, [{**plugin, **named} for plugin in plugins_of(config)])


def with_runtime_config(plugin: Members, capability_args: Mapping[str, object]) -> dict[str, object]:
    """Put `runtimeConfig` into a plug-in's configuration: what there is of the capabilities that it declares."""
    declared = plugin.get("capabilities")
    enabled = [key for key, value in declared.items() if value is True] if isinstance(declared, Mapping) else []
    args = {key: capability_args[key] for key in enabled if key in capability_args}
    return {**plugin, "runtimeConfig": args} if args else dict(plugin)
