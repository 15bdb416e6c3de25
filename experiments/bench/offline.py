"""How fast off-policy learners learn, beside the same updates written out plainly, SBX and Stable-Baselines3.

Figures are gradient phases per second (an update of WSRL is four steps of ten critics and one of the actor) on
observations of 17 and actions of 6 numbers, medians of several rounds in which contestants take turns; the ratio is the
median of the rounds' ratios. Each phase draws its transitions from data on the device, the state is donated, nothing is
compiled meanwhile; compilation has rows of its own. Everything runs on all cores of the machine. A call is one phase
where a host steps the environment, many where a data set or an environment of ours is on the device.

Peers: `_written_out.py`, the update as the reference code of WSRL does it, which evaluates every critic; SAC of SBX,
run by the Python that the environment variable PALAESTRA_SBX_PYTHON names; SAC of Stable-Baselines3, which needs the
extra `sb3`; IQL of JAX-CORL, from the clone that PALAESTRA_CORL names, run by the Python that PALAESTRA_CORL_PYTHON
names, which needs distrax, omegaconf, pydantic and tqdm. Those that are not there are left out. Data sets are written
beside Minari's own writer.
"""

import contextlib
import dataclasses
import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import Any

import jax

from ...agents.off_policy import presets
from ...agents.off_policy.sac import SAC
from ...agents.off_policy.transitions import Transitions
from ..backend import usable_cores
from . import _online_steps
from ._measuring import row
from ._peer_process import PeerProcess
from ._phases import Phases, Size, ours, written_out
from ._rounds import compared, empty_cache, rates
from ._writing import median_rates

SBX = "PALAESTRA_SBX_PYTHON"
CORL, CORL_PYTHON = "PALAESTRA_CORL", "PALAESTRA_CORL_PYTHON"
PLAIN, SBX_PEER, SB3_PEER, CORL_PEER = "written out", "SBX", "stable-baselines3", "JAX-CORL"
UNIT = "updates/s"
CONTESTANTS = 20  # that share the budget
EPISODES = 20  # of 1000 steps, in the data sets that are written


def run(budget: float) -> list[dict[str, Any]]:
    """Rows {case, peer, ours, theirs, unit, ratio}; spends about `budget` seconds besides compilation."""
    many = (32,) if jax.default_backend() != "cpu" else ()
    return measure(budget, dataclasses.replace(Size(), seeds=(*Size().seeds, *many)))


def measure(budget: float, size: Size) -> list[dict[str, Any]]:
    """All rows for learners of some size."""
    share, data = budget / CONTESTANTS, size.transitions()
    rows = [row("cores", "-", usable_cores(), None, jax.default_backend())]
    with empty_cache():
        wsrl = size.fit(presets.WSRL().learner)
        rows += beside_plain("WSRL, a call for each", wsrl, data, share, 1)
        rows += beside_plain("WSRL, 8 in a call", wsrl, data, share, 8)
        rows += beside_sbx(size, data, share)
        rows += beside_sb3(size, data, share)
        rows += beside_plain("CQL, ten critics", size.fit(presets.EnsembleCQL().learner), data, share, 8)
        rows += beside_plain("CQL", size.fit(presets.OfflineCQL().learner), data, share, 8)
        rows += beside_corl(size, data, share)
        rows += alone(size, data, share)
        rows += seeds(size, data, share)
        rows += online(size, share)
    return [*rows, *writing(EPISODES, 1000)]


def beside_plain(name: str, learner: SAC, data: Transitions, seconds: float, count: int) -> list[dict[str, Any]]:
    """A learner beside the same one written out plainly."""
    own, plain = ours(learner, data, count), written_out(learner, data, count)
    found = rates({"ours": own, "theirs": plain}, seconds)
    return [
        compared(name, PLAIN, found["ours"], found["theirs"], UNIT),
        row(f"{name}, compilation", PLAIN, own.compile_seconds, plain.compile_seconds, "s"),
    ]


def beside_sbx(size: Size, data: Transitions, seconds: float) -> list[dict[str, Any]]:
    """WSRL's update with the actor on the last 256 transitions, as SBX has it, and on identical work."""
    quick = dataclasses.replace(size.fit(presets.WSRL().learner), actor_batch="last")
    works: dict[str, Any] = {"WSRL, actor on one batch": ours(quick, data, 4)}
    alike = as_sbx(quick)
    works["SAC as SBX has it"] = ours(alike, data, 4)
    asked = {"n_critics": alike.num_critics, "layer_norm": True, "policy_delay": 4, "gradient_steps": 4}
    with _peer("sbx", os.environ.get(SBX), size, asked, 4) as peer:
        found = rates(works | ({"peer": peer} if peer else {}), seconds)
    theirs = found.pop("peer", None)
    return [compared(name, SBX_PEER, own, theirs, UNIT) for name, own in found.items()] + _compilations(works)


def as_sbx(learner: SAC) -> SAC:
    """The same work as SBX's: targets from all critics, with entropy; the actor's layers are not normalised."""
    return dataclasses.replace(
        learner,
        nets=dataclasses.replace(learner.nets, actor_norm=False),
        target_members=learner.num_critics,
        draw_repeats=False,
        soft_target=True,
        entropy_at="obs",
    )


def beside_sb3(size: Size, data: Transitions, seconds: float) -> list[dict[str, Any]]:
    """SAC with twin critics, one step of each network on 256 transitions; torch with one thread and with one a core.

    Its threads wait for each other at every operation, which a machine with other work to do makes slow.
    """
    own = ours(size.fit(SAC()), data, 16)
    asked = {"n_critics": 2, "layer_norm": False, "policy_delay": 1, "gradient_steps": 1}
    python = sys.executable if importlib.util.find_spec("stable_baselines3") else None
    with contextlib.ExitStack() as stack:
        works: dict[str, Any] = {"ours": own}
        for threads in sorted({1, usable_cores()}):
            peer = stack.enter_context(_peer("sb3", python, size, asked | {"threads": threads}, 8))
            works |= {f"{SB3_PEER}, threads: {threads}": peer} if peer else {}
        found = rates(works, seconds)
    alike = found.pop("ours")
    rows = [compared("SAC", name, alike, theirs, UNIT) for name, theirs in found.items()]
    return [*(rows or [compared("SAC", SB3_PEER, alike, None, UNIT)]), *_compilations({"SAC": own})]


def beside_corl(size: Size, data: Transitions, seconds: float) -> list[dict[str, Any]]:
    """IQL, one step of each network on 256 transitions, many in a call on either side."""
    work = ours(size.fit(presets.OfflineIQL().learner), data, 16)
    asked = {"folder": os.environ.get(CORL), "n_critics": 2, "layer_norm": False}
    python = os.environ.get(CORL_PYTHON) if asked["folder"] else None
    with _peer("jax-corl", python, size, asked, 16, "_corl_peer.py") as peer:
        works: dict[str, Any] = {"ours": work} | ({"peer": peer} if peer else {})
        found = rates(works, seconds)
    return [compared("IQL", CORL_PEER, found["ours"], found.get("peer"), UNIT), *_compilations({"IQL": work})]


def alone(size: Size, data: Transitions, seconds: float) -> list[dict[str, Any]]:
    """What has no peer here."""
    learners = {"Cal-QL": presets.OfflineCalQL, "BC": presets.OfflineBC}
    counts = {"Cal-QL": 8, "BC": 64}
    works = {name: ours(size.fit(make().learner), data, counts[name]) for name, make in learners.items()}
    found = rates(dict(works), seconds)
    return [compared(name, "-", own, None, UNIT) for name, own in found.items()] + _compilations(works)


def seeds(size: Size, data: Transitions, seconds: float) -> list[dict[str, Any]]:
    """WSRL's learners side by side, updates of all of them together."""
    learner = size.fit(presets.WSRL().learner)
    works = {f"WSRL, seeds side by side: {count}": ours(learner, data, 2, count) for count in size.seeds}
    found = rates(dict(works), seconds)
    return [compared(name, "-", own, None, UNIT) for name, own in found.items()] + _compilations(works)


def online(size: Size, seconds: float) -> list[dict[str, Any]]:
    """WSRL's steps in an environment, each with its update."""
    works = {
        "WSRL online, palaestra/Pendulum-v0": _online_steps.inside(size),
        "WSRL online, Pendulum-v1": _online_steps.outside(size),
    }
    for name, work in works.items():
        if work.updates != _online_steps.STEPS:
            raise RuntimeError(f"{name}: {work.updates} updates in {_online_steps.STEPS} steps; expected one for each")
    found = rates(dict(works), seconds)
    starts = [row(f"{name}, until it learns", "-", work.first_seconds, None, "s") for name, work in works.items()]
    return [compared(name, "-", own, None, "steps/s") for name, own in found.items()] + starts


def writing(episodes: int, steps: int) -> list[dict[str, Any]]:
    """Writing Hopper's episodes in HDF5."""
    own, theirs = median_rates(episodes, steps)
    return [row(f"writing {episodes} episodes of {steps} steps", "minari", own, theirs, "steps/CPU-s")]


def _compilations(works: dict[str, Phases]) -> list[dict[str, Any]]:
    return [row(f"{name}, compilation", "-", work.compile_seconds, None, "s") for name, work in works.items()]


@contextlib.contextmanager
def _peer(
    name: str, python: str | None, size: Size, asked: dict[str, Any], count: int, program: str = "_sac_peers.py"
) -> Iterator[PeerProcess | None]:
    """A peer's learner of some size, `count` updates a call; None where there is no Python for it."""
    if not python:
        yield None
        return
    nets = {"net_arch": [size.width] * 2, "batch_size": size.batch, "rows": size.rows, "obs": size.obs}
    more = {"peer": name, "action": size.action, "count": count}
    peer = PeerProcess(program, python, asked | nets | more)
    try:
        yield peer
    finally:
        peer.close()
