"""What the command line knows by name: agents, teachers, studies. Entries are strings, so that listing imports nothing.

Environments and teachers have their own registries, `envs/registration.py` and `curricula/registration.py`; benchmarks
are the modules of `experiments/bench/`.
"""

import dataclasses
import importlib
from pathlib import Path
from typing import Any

from ..curricula import registration as curricula
from .errors import unknown


@dataclasses.dataclass(frozen=True)
class Entry:
    """One thing with a name.

    Attributes:
      name: what the user types.
      factory: "module:name" of the class or module, relative to this package where it begins with a dot.
      config: "module:name" of the configuration dataclass; the class itself where it is its own configuration.
      summary: one line for `palaestra list`.
      outside: of an agent, the class for environments of Gymnasium that are not ours; "" where there is none.
    """

    name: str
    factory: str
    config: str
    summary: str
    outside: str = ""

    def load(self) -> Any:
        return resolve(self.factory)

    def load_config(self) -> Any:
        return resolve(self.config)


def _by_name(*entries: Entry) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries}


def _teacher(name: str, entry: curricula.Entry) -> Entry:
    factory = f"..curricula{entry.factory}"
    return Entry(name, factory, factory, entry.summary)


def _ppo(name: str, preset: str, summary: str) -> Entry:
    return Entry(name, "..agents.ppo:PPO", f"..agents.presets:{preset}", summary)


def _off_policy(name: str, shell: str, config: str, summary: str) -> Entry:
    home = "..agents.off_policy"
    outside = {"online": "outside:Outside", "offline": "offline:Offline"}[shell]
    return Entry(name, f"{home}.{shell}:{shell.capitalize()}", f"{home}.{config}", summary, f"{home}.{outside}")


AGENTS = _by_name(
    Entry("ppo", "..agents.ppo:PPO", "..agents.ppo:Config", "Proximal policy optimisation (Schulman et al. 2017)."),
    _ppo("ppo_grid", "PublishedMiniGrid", "PPO with convolutions over small images, as published for MiniGrid."),
    _ppo("ppo_count", "WithCount", "The same with rewards for rarely seen observations."),
    _ppo("ppo_rnd", "WithRND", "The same with random network distillation (Burda et al. 2019)."),
    _ppo("ppo_ride", "WithRIDE", "The same with rewards for impact (Raileanu and Rocktäschel 2020)."),
    _ppo("ppo_noveld", "WithNovelD", "The same with rewards for gains in novelty (Zhang et al. 2021)."),
    Entry(
        "amigo",
        "..agents.amigo.agent:amigo",
        "..agents.amigo.agent:Config",
        "PPO that pursues cells which an adversary chooses (Campero et al. 2021); grids only.",
    ),
    _off_policy("sac", "online", "online:Config", "Soft actor-critic (Haarnoja et al. 2018)."),
    _off_policy("redq", "online", "presets:REDQ", "SAC with ten critics and many updates a step (Chen et al. 2021)."),
    _off_policy("rlpd", "online", "presets:RLPD", "SAC with half of every batch from a data set (Ball et al. 2023)."),
    _off_policy("wsrl", "online", "presets:WSRL", "Warm-start RL: online from a trained learner (Zhou et al. 2025)."),
    _off_policy("iql_online", "online", "presets:OnlineIQL", "IQL that goes on from an earlier run."),
    _off_policy("cql_online", "online", "presets:OnlineCQL", "CQL that goes on from an earlier run."),
    _off_policy("calql_online", "online", "presets:OnlineCalQL", "Cal-QL that goes on from an earlier run."),
    _off_policy("bc", "offline", "presets:OfflineBC", "Behaviour cloning of a data set."),
    _off_policy("iql", "offline", "presets:OfflineIQL", "Implicit Q-learning from a data set (Kostrikov et al. 2022)."),
    _off_policy("cql", "offline", "presets:OfflineCQL", "Conservative Q-learning from a data set (Kumar et al. 2020)."),
    _off_policy("calql", "offline", "presets:OfflineCalQL", "CQL bounded by the data's returns (Nakamoto et al.)."),
    _off_policy("cql_ensemble", "offline", "presets:EnsembleCQL", "CQL with ten normalised critics, for wsrl."),
    _off_policy("calql_ensemble", "offline", "presets:EnsembleCalQL", "Cal-QL with ten normalised critics, for wsrl."),
)

TEACHERS = _by_name(*(_teacher(name, entry) for name, entry in curricula.TEACHERS.items()))

# A study is a module with a frozen dataclass `Config` and `main(config)`; `main` may return a mapping for --json.
STUDIES = _by_name(
    Entry(
        "stump_tracks_quick",
        ".stump_tracks",
        ".stump_tracks:QuickConfig",
        "ALP-GMM against Random on stump tracks, in minutes on two CPU cores.",
    ),
    Entry(
        "stump_tracks",
        ".stump_tracks",
        ".stump_tracks:Config",
        "The same at full size, for an accelerator: 20 M steps, 16 seeds.",
    ),
    Entry(
        "motors_vs_pi",
        ".motors_vs_pi",
        ".motors_vs_pi:Config",
        "PPO against PI and deadbeat control on three electric drives, ten seeds each.",
    ),
    Entry(
        "motors_drift",
        ".motors_drift",
        ".motors_drift:Config",
        "A robust current controller: ALP-GMM, random and nominal physics of a drive.",
    ),
    Entry(
        "warm_start_quick",
        ".warm_start",
        ".warm_start:QuickConfig",
        "WSRL and its ablations in a small maze, from data to acting, on two CPU cores.",
    ),
    Entry(
        "warm_start",
        ".warm_start",
        ".warm_start:Config",
        "The same in the large maze at full size, for an accelerator.",
    ),
    Entry(
        "warm_start_motor",
        ".warm_start_motor",
        ".warm_start_motor:MotorConfig",
        "The same on an electric drive: from data of badly tuned controllers to better control.",
    ),
    Entry(
        "warm_start_walker",
        ".warm_start_walker",
        ".warm_start_walker:WalkerConfig",
        "WSRL on a walker: pre-trained on grass, on over stumps, with and without a curriculum.",
    ),
    Entry(
        "subgoals_quick",
        ".subgoals_study",
        ".subgoals_study:QuickConfig",
        "A teacher of subgoals on three small MiniGrid tasks, in a quarter of an hour on two CPU cores.",
    ),
    Entry(
        "subgoals",
        ".subgoals_study",
        ".subgoals_study:Config",
        "Subgoals of exact and mistaken teachers beside six baselines on MiniGrid, for an accelerator.",
    ),
)


def resolve(reference: str) -> Any:
    """The object behind "module:name"."""
    module, _, name = reference.partition(":")
    found = importlib.import_module(module, __package__)
    return getattr(found, name) if name else found


def find(kind: str, name: str, entries: dict[str, Entry]) -> Entry:
    """An entry by name, or a UsageError with the nearest names."""
    if name not in entries:
        raise unknown(kind, name, entries)
    return entries[name]


def benchmarks() -> dict[str, str]:
    """{name: module} of the benchmarks that are there."""
    folder = Path(__file__).parent / "bench"
    names = sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))
    return {name: f".bench.{name}" for name in names}
