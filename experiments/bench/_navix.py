"""The peer's side of `palaestra bench minigrid`: NAVIX, run by its own Python where it has one.

This file is a program: it imports nothing of this project, takes the seconds per measurement, and prints one JSON
object {case: steps per second, "<case> compile": seconds}.
"""

import json
import statistics
import sys
import time

ROUNDS = 5
LENGTHS = {1: 200, 16: 50, 1024: 10}  # short: a step takes hundreds of times as long as ours


def main(seconds: float) -> dict[str, float]:
    """Both numbers for every case."""
    import navix

    found: dict[str, float] = {}
    for name in ("KeyCorridorS6R3", "DoorKey-8x8"):
        for shown, observe in {"agent's view": "symbolic_first_person", "whole grid": "symbolic"}.items():
            env = navix.make(f"Navix-{name}-v0", observation_fn=getattr(navix.observations, observe))
            for batch, length in LENGTHS.items():
                rate, compilation = _rate(env, batch, length, seconds)
                case = f"{name}, {shown}, batch {batch}"
                found |= {case: rate, f"{case} compile": compilation}
    return found


def _rate(env, batch: int, length: int, seconds: float) -> tuple[float, float]:
    import jax
    import jax.numpy as jnp

    def roll(timestep, key):
        def body(timestep, key):
            actions = jax.random.randint(key, (batch,), 0, env.action_space.n)
            timestep = jax.vmap(env.step)(timestep, actions)
            return timestep, timestep.observation.sum(dtype=jnp.int32)

        return jax.lax.scan(body, timestep, jax.random.split(key, length))

    timestep = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.PRNGKey(0), batch))
    begin = time.perf_counter()
    compiled = jax.jit(roll).lower(timestep, jax.random.PRNGKey(0)).compile()
    compilation = time.perf_counter() - begin
    timestep, _ = jax.block_until_ready(compiled(timestep, jax.random.PRNGKey(0)))
    rates = []
    for i in range(ROUNDS):
        steps, begin = 0, time.perf_counter()
        while not steps or time.perf_counter() - begin < seconds / ROUNDS:
            timestep, _ = jax.block_until_ready(compiled(timestep, jax.random.PRNGKey(i)))
            steps += batch * length
        rates.append(steps / (time.perf_counter() - begin))
    return statistics.median(rates), compilation


if __name__ == "__main__":
    print(json.dumps(main(float(sys.argv[1]))))
