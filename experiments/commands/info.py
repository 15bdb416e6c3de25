"""`palaestra info ID`: what an environment offers, or what an agent, teacher or study can be told."""

import argparse
import dataclasses
from typing import Any

from ...envs.registration import ENVIRONMENTS, arguments, entry
from .. import assemble, catalog, config
from ..errors import unknown
from ..flags import attribute_docs
from ..output import Answer, table


def run(flags: argparse.Namespace) -> Answer:
    name = flags.id
    if name in catalog.AGENTS:
        return _describe_settings("agent", catalog.AGENTS[name], catalog.AGENTS[name].load_config())
    if name in catalog.TEACHERS:
        return _describe_settings("teacher", catalog.TEACHERS[name], catalog.TEACHERS[name].load())
    if name in catalog.STUDIES:
        return _describe_settings("study", catalog.STUDIES[name], catalog.STUDIES[name].load_config())
    ids = [item.id for item in ENVIRONMENTS]
    if name not in ids and f"palaestra/{name}" not in ids:
        names = [*ids, *catalog.AGENTS, *catalog.TEACHERS, *catalog.STUDIES]
        raise unknown("environment, agent, teacher or study", name, names)
    return _describe_env(assemble.known_env(name))


def _describe_env(id: str) -> Answer:
    env, item = assemble.make_env(id, {}), entry(id)
    parameters = [dataclasses.asdict(p) for p in getattr(env.task_space, "parameters", ())]
    result = {
        "id": id,
        "summary": item.summary,
        "observation_space": str(env.observation_space),
        "action_space": str(env.action_space),
        "horizon": env.horizon,
        "reward_threshold": item.reward_threshold,
        "success_return": env.success_return,
        "parameters": parameters,
        "arguments": {name: str(default) for name, (_, default) in arguments(id).items()},
        "description": (type(env).__doc__ or "").strip(),
    }
    columns = ("name", "low", "high", "default", "unit", "scale", "kind", "doc")
    blocks = [
        f"{id}: {item.summary}",
        table([[key, result[key]] for key in ("observation_space", "action_space", "horizon", "reward_threshold")]),
        "task parameters\n" + table([[p[c] for c in columns] for p in parameters], columns) if parameters else "",
        "arguments (--env-kwargs)\n" + table(list(result["arguments"].items())) if result["arguments"] else "",
    ]
    return Answer(result, "\n\n".join(block for block in blocks if block))


def _describe_settings(kind: str, item: catalog.Entry, cls: type) -> Answer:
    rows = _settings(cls)
    result = {"name": item.name, "kind": kind, "summary": item.summary, "settings": rows}
    prefix = "teacher." if kind == "teacher" else ""
    lines = [[prefix + row["key"], row["default"], row["doc"]] for row in rows]
    return Answer(result, f"{item.name}: {item.summary}\n\nsettings (--set KEY=VALUE)\n" + table(lines))


def _settings(cls: type, prefix: str = "", held: Any = None) -> list[dict[str, Any]]:
    """Every key of a configuration with its default and meaning.

    Args:
      held: the instance that a configuration holds by default, whose values are then the defaults.
    """
    docs, rows = attribute_docs(cls), []
    hints = config.settable_fields(cls)
    for field in dataclasses.fields(cls):
        if field.name not in hints:
            continue
        inner = config.nested_default(cls, held, field.name)
        if inner is not None:
            rows += _settings(type(inner), f"{prefix}{field.name}.", inner)
        elif dataclasses.is_dataclass(hints[field.name]):
            rows += _settings(hints[field.name], f"{prefix}{field.name}.")
        else:
            missing = field.default is dataclasses.MISSING
            default = getattr(held, field.name) if held is not None else None if missing else field.default
            doc = docs.get(field.name, "").replace("%%", "%")
            rows.append({"key": prefix + field.name, "default": default, "doc": doc})
    return rows
