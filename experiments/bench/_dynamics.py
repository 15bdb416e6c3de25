"""The permanent magnet machine without converter, references or resets, as its peer of `_exciting.py` simulates it.

Letters: B machines, T steps.
"""

from typing import Any

import jax
import jax.numpy as jnp

from ...envs.motors.build import make_motor
from ...envs.motors.integrators import integrate
from ...envs.motors.machines.synchronous import Stator, Voltages
from ...envs.motors.transforms import Angle, clarke, inverse_clarke, rotate, rotate_back, wrap

OMEGA = 100.0  # [rad/s] held


def simulation(what: str, solver: str, batch: int, length: int) -> tuple[Any, Any]:
    """(compiled roll, its first carry): `carry = roll(carry)` takes `length` steps of `batch` machines.

    Args:
      what: "equations" integrates the currents under given rotor voltages; "step" limits the voltages to what the
        phases can have, and observes currents, speed, torque and the angle's cosine and sine.
    """
    env = make_motor("PMSM", solver=solver, compat="gem")  # the peer holds rotor voltages, too
    machine = jax.tree.map(jnp.float32, env.default_params.machine)
    half = 0.5 * env.nominal.supply
    currents, torque = env.layout.limit("i_sd"), env.layout.limit("torque")

    def forward(x: Stator, u: Voltages) -> Stator:
        return integrate(solver, lambda y: env.machine.derivative(y, u, OMEGA, machine)[0], x, env.tau, 1)

    def equations(carry: Any, action: jax.Array) -> tuple[Any, jax.Array]:
        x, angle = carry
        x = forward(x, Voltages(u_sd=half * action[0], u_sq=half * action[1]))
        return (x, wrap(angle + env.tau * machine.p * OMEGA)), jnp.zeros(())

    def step(carry: Any, action: jax.Array) -> tuple[Any, jax.Array]:
        x, angle = carry
        phases = [jnp.clip(v, -1.0, 1.0) for v in inverse_clarke(*rotate(action[0], action[1], angle))]
        u_sd, u_sq = rotate_back(*clarke(*phases), angle)
        x = forward(x, Voltages(u_sd=half * u_sd, u_sq=half * u_sq))
        angle = Angle.of(angle.value + env.tau * machine.p * OMEGA)
        seen = (
            x.i_sd / currents,
            x.i_sq / currents,
            jnp.full_like(x.i_sd, OMEGA / env.layout.limit("omega")),
            env.machine.torque(x, machine) / torque,
            angle.cos,
            angle.sin,
        )
        return (x, angle), jnp.stack(seen)

    one = {"equations": equations, "step": step}[what]
    actions = 0.3 * jax.random.uniform(jax.random.key(0), (length, batch, 2), minval=-1.0)

    @jax.jit
    def roll(carry: Any) -> Any:
        def body(carry: Any, action: jax.Array) -> tuple[Any, jax.Array]:
            carry, obs = jax.vmap(one)(carry, action)
            return carry, jnp.sum(obs)

        return jax.lax.scan(body, carry, actions)

    zero = jnp.zeros(batch)
    angle = Angle(value=zero, cos=zero + 1, sin=zero) if what == "step" else zero
    return roll, (Stator(i_sd=zero, i_sq=zero), angle)
