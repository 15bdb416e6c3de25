"""The peers' side of `palaestra bench offline`: SAC of Stable-Baselines3 (torch) or SBX (JAX), by a Python of its own.

This file is a program: it imports nothing of this project. Its argument is a JSON object of what is asked for; it says
what its objects are in fact, as one line of JSON, and then does some calls of `train` for every line that it reads,
each time saying how many updates those were and how many programs JAX has compiled so far.
"""

import json
import sys
import time

import gymnasium
import numpy as np


class Still(gymnasium.Env):
    """Spaces of the sizes asked for; nothing happens."""

    def __init__(self, obs: int, action: int):
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (obs,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (action,), np.float32)
        self._nothing = np.zeros(obs, np.float32)

    def reset(self, *, seed=None, options=None):
        return self._nothing, {}

    def step(self, action):
        return self._nothing, 0.0, False, False, {}


def fill(buffer, rng) -> None:
    """Random transitions in every row."""
    for name in ("observations", "next_observations", "rewards"):
        array = getattr(buffer, name)
        array[:] = rng.normal(size=array.shape)
    buffer.actions[:] = rng.uniform(-1.0, 1.0, buffer.actions.shape)
    buffer.dones[:] = rng.random(buffer.dones.shape) < 0.02
    buffer.full = True


def make(asked):
    """The model of a peer with a filled replay buffer."""
    nets = {"net_arch": asked["net_arch"], "n_critics": asked["n_critics"]}
    more = {}
    if asked["peer"] == "sbx":
        from sbx import SAC

        nets |= {"layer_norm": asked["layer_norm"]}
        more = {"policy_delay": asked["policy_delay"]}
    else:
        import torch
        from stable_baselines3 import SAC

        torch.set_num_threads(asked["threads"])
    from stable_baselines3.common.logger import configure

    model = SAC(
        policy="MlpPolicy",
        env=Still(asked["obs"], asked["action"]),
        buffer_size=asked["rows"],
        batch_size=asked["batch_size"],
        gradient_steps=asked["gradient_steps"],
        policy_kwargs=nets,
        seed=0,
        **({} if asked["peer"] == "sbx" else {"device": "cpu"}),
        **more,
    )
    model.set_logger(configure(None, []))
    fill(model.replay_buffer, np.random.default_rng(0))
    return model


def facts(model, asked):
    """What is asked for, as the model's own objects have it."""
    found = {"gradient_steps": model.gradient_steps, "batch_size": model.batch_size}
    if asked["peer"] == "sbx":
        critic, actor = model.policy.qf, model.policy.actor
        found |= {"n_critics": critic.n_critics, "layer_norm": bool(critic.use_layer_norm)}
        found |= {"policy_delay": model.policy_delay, "net_arch": list(critic.net_arch)}
        same = list(actor.net_arch) == found["net_arch"]
    else:
        shapes = [tuple(layer.weight.shape) for layer in model.critic.q_networks[0] if hasattr(layer, "weight")]
        found |= {"n_critics": len(model.critic.q_networks), "net_arch": [rows for rows, _ in shapes[:-1]]}
        found |= {"layer_norm": any("Norm" in type(layer).__name__ for layer in model.critic.modules())}
        found |= {"policy_delay": 1}  # it has no other
        import torch

        found |= {"threads": torch.get_num_threads()}
        same = list(model.actor.net_arch) == found["net_arch"]
    rows = int(model.replay_buffer.size())
    return found | {"same_actor": same, "rows": rows, "obs": model.observation_space.shape[0]}


def main() -> None:
    asked = json.loads(sys.argv[1])
    compiled = []
    if asked["peer"] == "sbx":
        import jax

        def listen(event, duration_secs, **kwargs):
            if event.endswith("backend_compile_duration"):
                compiled.append(event)

        jax.monitoring.register_event_duration_secs_listener(listen)
    model = make(asked)
    begin = time.perf_counter()
    model.train(gradient_steps=asked["gradient_steps"], batch_size=asked["batch_size"])
    print(json.dumps(facts(model, asked) | {"first_seconds": time.perf_counter() - begin}), flush=True)
    for _ in sys.stdin:
        for _ in range(asked["count"]):
            model.train(gradient_steps=asked["gradient_steps"], batch_size=asked["batch_size"])
        print(json.dumps({"updates": asked["count"], "compiled": len(compiled)}), flush=True)


if __name__ == "__main__":
    main()
