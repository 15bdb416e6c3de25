"""The peer's side of `palaestra bench offline`: IQL of JAX-CORL, by a Python of its own, from a clone.

This file is a program: it imports nothing of this project. Its argument is a JSON object of what is asked for; it says
what its objects are in fact, as one line of JSON, and then does one call of the peer's compiled updates for every line
that it reads, each time saying how many updates those were and how many programs JAX has compiled so far.
"""

import json
import sys
import time
import types


def load(folder):
    """The peer's module; what it imports for data, environments and logs alone is left empty."""
    for name, members in {"d4rl": (), "wandb": (), "gym": ("Env",)}.items():
        module = types.ModuleType(name)
        for member in members:
            setattr(module, member, object)
        sys.modules[name] = module
    sys.argv = sys.argv[:1]  # it reads its configuration there
    sys.path.insert(0, folder)
    from algos import iql

    return iql


def main() -> None:
    asked = json.loads(sys.argv[1])
    iql = load(asked["folder"])
    import jax
    import numpy as np

    compiled = []

    def listen(event, duration_secs, **kwargs):
        if event.endswith("backend_compile_duration"):
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    config = iql.IQLConfig(
        batch_size=asked["batch_size"],
        hidden_dims=tuple(asked["net_arch"]),
        layer_norm=asked["layer_norm"],
        opt_decay_schedule=False,
        n_jitted_updates=asked["count"],
    )
    rng, rows = np.random.default_rng(0), asked["rows"]
    normal = lambda *shape: jax.numpy.asarray(rng.normal(size=shape), jax.numpy.float32)  # noqa: E731
    data = iql.Transition(
        observations=normal(rows, asked["obs"]),
        actions=jax.numpy.tanh(normal(rows, asked["action"])),
        rewards=normal(rows),
        next_observations=normal(rows, asked["obs"]),
        dones=jax.numpy.asarray(rng.random(rows) < 0.02, jax.numpy.float32),
        dones_float=jax.numpy.zeros(rows),
    )
    state = iql.create_iql_train_state(jax.random.PRNGKey(0), data.observations[0], data.actions[0], config)
    update = jax.jit(iql.IQL().update_n_times, static_argnums=(3,))
    key = jax.random.PRNGKey(1)

    begin = time.perf_counter()
    state, info = update(state, data, key, config)
    jax.block_until_ready(info)
    kernels = [x for x in jax.tree.leaves(state.critic.params) if x.ndim == 3]
    facts = {
        "net_arch": sorted((x.shape[-1] for x in kernels if x.shape[-1] > 1), reverse=True),
        "n_critics": kernels[0].shape[0],
        "batch_size": config.batch_size,
        "layer_norm": config.layer_norm,
        "rows": len(data.rewards),
        "obs": data.observations.shape[1],
    }
    print(json.dumps(facts | {"first_seconds": time.perf_counter() - begin}), flush=True)
    for _ in sys.stdin:
        key, subkey = jax.random.split(key)
        state, info = update(state, data, subkey, config)
        jax.block_until_ready((state, info))
        print(json.dumps({"updates": config.n_jitted_updates, "compiled": len(compiled)}), flush=True)


if __name__ == "__main__":
    main()
