"""The peer's side of `palaestra bench motors`: exciting-environments' permanent magnet machine, run by its own Python.

That package pins an old JAX, so it lives in an environment of its own. This file is a program: it imports nothing of
this project, takes the seconds per measurement, and prints one JSON object {case: steps per second}.
"""

import json
import statistics
import sys
import time

ROUNDS = 5


def main(seconds: float) -> dict[str, float]:
    """Steps per second of every case; a case is "<what>, <integrator>, batch <B>"."""
    import diffrax
    import exciting_environments

    rates = {}
    for batch, length in ((1024, 500), (1, 20_000)):
        for name, solver in (("euler", diffrax.Euler()), ("tsit5", diffrax.Tsit5())):
            env = exciting_environments.make("PMSM-v0", batch_size=batch, solver=solver, tau=1e-4)
            for what in ("step", "equations"):
                rates[f"{what}, {name}, batch {batch}"] = _rate(env, what, batch, length, seconds)
    return rates


def _rate(env, what: str, batch: int, length: int, seconds: float) -> float:
    import jax
    import jax.numpy as jnp

    def equations(state, action, properties):
        return jnp.zeros(()), env._ode_solver_step(state, action, properties)

    one = env.step if what == "step" else equations
    many = jax.vmap(one, in_axes=(0, 0, env.in_axes_env_properties))
    actions = 0.3 * jax.random.uniform(jax.random.PRNGKey(0), (length, batch, 2), minval=-1.0)

    @jax.jit
    def roll(state):
        def body(state, action):
            obs, state = many(state, action, env.env_properties)
            return state, jnp.sum(obs)

        return jax.lax.scan(body, state, actions)

    _, state = env.vmap_reset()
    rates = []
    state, _ = jax.block_until_ready(roll(state))
    for _ in range(ROUNDS):
        steps, begin = 0, time.perf_counter()
        while not steps or time.perf_counter() - begin < seconds / ROUNDS:
            state, _ = jax.block_until_ready(roll(state))
            steps += batch * length
        rates.append(steps / (time.perf_counter() - begin))
    return statistics.median(rates)


if __name__ == "__main__":
    print(json.dumps(main(float(sys.argv[1]))))
