"""The command line's grammar. It imports neither JAX nor any verb, so that `--help` is immediate."""

import argparse
import dataclasses
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from . import config
from .errors import UsageError, nearest, problem, short, unknown
from .settings import RunSettings

# verb: (module under commands/, summary)
VERBS = {
    "list": ("list", "environments, agents, teachers and studies by name"),
    "info": ("info", "what an environment, agent, teacher or study offers and takes"),
    "check-env": ("check_env", "check an environment against Gymnasium's rules and ours"),
    "train": ("train", "train an agent on an environment under a teacher"),
    "resume": ("resume", "continue an interrupted run to its end"),
    "eval": ("eval", "evaluate a run's policy"),
    "record": ("record", "film a run's policy"),
    "plot": ("plot", "draw the curves of runs"),
    "report": ("report", "one HTML file about runs"),
    "study": ("study", "run one of the studies: seeds, comparisons, tables, plots"),
    "subgoals": ("subgoals", "plans for levels: ask a model for them, show them, measure how right they are"),
    "levels": ("levels", "keep levels of the minigrid package in a file, show or check it"),
    "dataset": ("dataset", "make offline data sets, list, show or check them"),
    "bench": ("bench", "measure speed beside the project's peers"),
    "doctor": ("doctor", "versions, devices, optional packages"),
}
OWN_FLAGS = ("study", "subgoals")
SWITCHES = {
    "--json": "one JSON object on stdout and nothing else",
    "--quiet": "no progress",
    "--verbose": "the log of every library",
    "--no-color": "plain text on a terminal",
    "--debug": "tracebacks",
}


class Parser(argparse.ArgumentParser):
    """argparse that raises instead of exiting and never guesses abbreviations."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs | {"allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"bad command line: {message}", hint=f"See `{self.prog} --help`.")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The namespace of a command line; `verb` and `module` say what is to run.

    Raises:
      UsageError: naming the flag or verb and the three nearest.
      SystemExit: after printing help or the version.
    """
    top, verbs = build()
    verb = next((word for word in arguments if not word.startswith("-")), None)
    if verb is not None and verb not in VERBS:
        raise unknown("verb", verb, VERBS)
    if verb is None and not {"-h", "--help", "--version"} & set(arguments):
        for word in arguments:
            if word not in SWITCHES:
                raise unknown("flag", word, [*SWITCHES, "--help", "--version"])
        top.print_help()
        raise SystemExit(0)
    namespace, rest = top.parse_known_args(list(arguments))
    namespace.rest = rest
    if rest and namespace.verb not in OWN_FLAGS:  # their settings are their flags; only their modules know them
        refuse(rest, verbs[namespace.verb].prog, [o for a in verbs[namespace.verb]._actions for o in a.option_strings])
    namespace.module = VERBS[namespace.verb][0]
    return namespace


def build() -> tuple[Parser, dict[str, Parser]]:
    """The parser, and those of the verbs by name."""
    from .. import __version__

    top = Parser(prog="palaestra", description="Environments, agents and teachers that compile into one program.")
    top.add_argument("--version", action="version", version=f"palaestra {__version__}")
    _add_switches(top, {"default": False})
    sub = top.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    verbs = {}
    for name, (module, summary) in VERBS.items():
        verbs[name] = sub.add_parser(name, help=summary, description=summary.capitalize() + ".")
        _add_switches(verbs[name], {"default": argparse.SUPPRESS})  # else a switch before the verb would be lost
        _FLAGS[module](verbs[name])
    return top, verbs


def refuse(rest: Sequence[str], program: str, known: Sequence[str]) -> NoReturn:
    """The error for words that mean nothing here."""
    flag = next((word.split("=", 1)[0] for word in rest if word.startswith("-")), None)
    if flag is None:
        raise UsageError(f"unexpected argument: {short(rest[0])}", hint=f"See `{program} --help`.", key=rest[0])
    close = ", ".join(nearest(flag, known))
    raise UsageError(f"unknown flag: {short(flag)}; for `{program}`", hint=f"Nearest: {close}.", key=flag)


def _add_switches(parser: Parser, options: dict[str, Any]) -> None:
    for name, text in SWITCHES.items():
        parser.add_argument(name, action="store_true", help=text, **options)


def _list(parser: Parser) -> None:
    parser.add_argument("what", nargs="?", metavar="envs|agents|teachers|studies|benchmarks")


def _info(parser: Parser) -> None:
    parser.add_argument("id", help="id of an environment, or name of an agent, teacher or study")


def _check_env(parser: Parser) -> None:
    parser.add_argument("id", help="any Gymnasium id")
    _add_assignments(parser, "--env-kwargs", "an argument of the environment")


def _train(parser: Parser) -> None:
    parser.add_argument("--env", help="id of the environment")
    parser.add_argument("--agent", help="default: ppo")
    parser.add_argument("--teacher", help="default: fixed, the environment's standard form")
    parser.add_argument("--dataset", metavar="ID", help="id or path of a Minari data set to learn from")
    parser.add_argument("--start-from", metavar="RUN", help="a run whose learners this one's begin as")
    parser.add_argument("--config", metavar="FILE", help="YAML or TOML; `config.yaml` of any run will do")
    _add_assignments(
        parser, "--set", "an agent's setting, e.g. hyper.learning_rate=1e-3; teacher.KEY, env.KEY likewise"
    )
    _add_assignments(parser, "--env-kwargs", "an argument of the environment")
    parser.add_argument("--num-envs", metavar="N", help="lanes the agent trains on")
    _add_dataclass(parser, RunSettings, {"total_timesteps": ["-n"]})
    parser.add_argument(
        "--run-dir", metavar="DIR", help="default: runs/<env>/<agent>+<teacher>/<time>-<name>-s<seed>-…"
    )
    parser.add_argument("--name", default="run", help="part of the default run folder's name")
    parser.add_argument("--resume", choices=["auto", "never", "must"], default="never", help="default: never")
    parser.add_argument("--overwrite", action="store_true", help="delete the run that is in --run-dir first")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved configuration and stop")
    _add_progress(parser)
    _add_device(parser)


def _resume(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument("--max-seconds", metavar="SECONDS", help="save and stop after this long")
    _add_progress(parser)
    _add_device(parser)


def _eval(parser: Parser) -> None:
    _add_policy(parser)
    parser.add_argument("--episodes", metavar="N", help="test tasks, one episode each; default: as in training")
    parser.add_argument("--tasks", choices=["space", "default"], help="default: as in training")
    _add_device(parser)


def _record(parser: Parser) -> None:
    _add_policy(parser)
    parser.add_argument("--out", metavar="FILE", help=".mp4 or .gif; default: videos/ in the run folder")
    parser.add_argument("--max-steps", metavar="N", help="at most so many frames; default: the whole episode")
    _add_device(parser)


def _plot(parser: Parser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--out", metavar="DIR", help="default: plots/ in the run folder, or ./plots for several")


def _report(parser: Parser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--out", metavar="FILE", help="default: report.html in the run folder, or here for several")


def _study(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="see `palaestra list studies`")
    _add_assignments(parser, "--set", "a setting of the study; --KEY VALUE likewise, see `palaestra info NAME`")
    _add_device(parser)


def _bench(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="see `palaestra list benchmarks`")
    parser.add_argument("--budget", metavar="SECONDS", default="60", help="about how long it may take; default: 60")
    _add_device(parser)


def _doctor(parser: Parser) -> None:
    _add_device(parser)


def _add_policy(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument("--checkpoint", metavar="WHICH", default="latest", help="latest, best, final or a step")
    parser.add_argument("--seed", metavar="N", help="of starts and noise; default: the run's")
    _add_assignments(parser, "--task", "a task parameter; the others keep their default")


def _add_assignments(parser: Parser, flag: str, text: str) -> None:
    parser.add_argument(flag, action="append", default=[], metavar="KEY=VALUE", help=f"{text}; may be repeated")


def _add_progress(parser: Parser) -> None:
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, default=None, help="default: by terminal")


def _add_device(parser: Parser) -> None:
    parser.add_argument("--device", choices=["auto", "cpu", "gpu", "tpu"], default="auto", help="default: auto")
    parser.add_argument("--devices", metavar="N", help="split the CPU into N devices")


def _add_dataclass(parser: Parser, cls: type, aliases: dict[str, list[str]]) -> None:
    """A flag per field; values stay text, `config` makes them typed and writes the refusal."""
    docs = attribute_docs(cls)
    for field in dataclasses.fields(cls):
        names = [f"--{field.name.replace('_', '-')}", *aliases.get(field.name, [])]
        default = "" if field.default is None else f" (default: {field.default})"
        parser.add_argument(*names, dest=field.name, metavar="X", help=docs.get(field.name, "") + default)


def given_settings(namespace: argparse.Namespace) -> dict[str, Any]:
    """The run settings that were given as flags, typed."""
    given = {}
    for name, hint in config.settable_fields(RunSettings).items():
        text = getattr(namespace, name, None)
        if text is not None:
            given[name] = config.convert(hint, config.parse_value(text), flag_name(name))
    return given


def _subgoals(parser: Parser) -> None:
    parser.add_argument("action", metavar="collect|template|show|calibrate", help="its settings are its own flags")
    _add_assignments(parser, "--set", "a setting")


def _levels(parser: Parser) -> None:
    parser.add_argument("action", metavar="make|show|check")
    parser.add_argument("target", help="make: id of the minigrid package; show, check: a file")
    parser.add_argument("--count", help="make: how many levels (default: 1000)")
    parser.add_argument("--first", help="make: the first seed (default: 0)")
    parser.add_argument("--out", metavar="FILE", help="make: the npz file to write")


def _dataset(parser: Parser) -> None:
    parser.add_argument("action", metavar="make|list|show|check")
    parser.add_argument("target", nargs="?", metavar="ID", help="show, check: id or folder of a Minari data set")
    parser.add_argument("--env", help="make: id of the environment; check: whether the data fit it")
    parser.add_argument("--quality", help="make: of the behaviour, e.g. random, medium, expert, mixed")
    parser.add_argument("--steps", metavar="N", help="make: transitions in all")
    parser.add_argument("--seed", metavar="N", help="make: equal seeds give equal data (default: 0)")
    parser.add_argument("--tasks", metavar="default|space", help="make: space draws a task per episode")
    _add_assignments(parser, "--env-kwargs", "make: an argument of the environment; needs --id")
    parser.add_argument("--id", metavar="NAMESPACE/NAME-v0", help="make: default: palaestra/<env>/<quality>-v0")
    parser.add_argument("--run", metavar="RUN", help="make: a training run whose policies act; default: one is made")
    parser.add_argument("--train-steps", metavar="N", help="make: how long that one trains (default: 200000)")
    parser.add_argument("--format", metavar="hdf5|arrow", help="make: default: hdf5")
    parser.add_argument("--overwrite", action="store_true", help="make: take the place of one that is there")
    _add_device(parser)


def whole_number(text: str | None, flag: str, least: int = 1) -> int | None:
    """A flag's value as a whole number; None where it was not given."""
    if text is None:
        return None
    value = config.convert(int, config.parse_value(text), flag)
    if value < least:
        raise UsageError(problem("bad value", flag, value, f"at least {least}"), hint="Change the value.", key=flag)
    return value


def flag_name(field: str) -> str:
    return "--" + field.replace("_", "-")


def attribute_docs(cls: type) -> dict[str, str]:
    """{attribute: sentence} from the Attributes section of a class's docstring."""
    section = (cls.__doc__ or "").partition("Attributes:")[2]
    docs: dict[str, str] = {}
    for line in section.splitlines():
        start = re.match(r"\s{2,}(\w+(?:, \w+)*): (.*)", line)
        if start:
            names = start[1].split(", ")
            docs |= dict.fromkeys(names, start[2].strip())
        elif line.strip() and docs:
            docs |= {name: f"{docs[name]} {line.strip()}" for name in names}
        elif docs and not line.strip():
            break
    return {name: text.rstrip(".").replace("%", "%%") for name, text in docs.items()}


_FLAGS = {
    "list": _list,
    "info": _info,
    "check_env": _check_env,
    "train": _train,
    "resume": _resume,
    "eval": _eval,
    "record": _record,
    "plot": _plot,
    "report": _report,
    "study": _study,
    "subgoals": _subgoals,
    "levels": _levels,
    "dataset": _dataset,
    "bench": _bench,
    "doctor": _doctor,
}
