"""Controllers with wrong gains: with factors of one they are the exact ones, and every factor matters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.errors import OptionError
from palaestra.envs.motors.control import make_controller
from palaestra.envs.motors.control.detuned import Detuned, Off
from palaestra.envs.registration import make_functional


@pytest.mark.parametrize("name", ["CC-PermExDc", "SC-PermExDc", "CC-EESM"])
def test_factors_scale_the_gains(name):
    env = make_functional(f"palaestra/Motor-Cont-{name}-v0")
    exact = make_controller(env, "pi")
    detuned = Detuned(exact)
    names = env.observed.names
    assert env.observation_space.shape == (len(names),)

    def actions(act, memory):
        """Near a standstill, where nothing is limited; the second and later ones depend on integrals."""
        obs = jnp.asarray([float(name.startswith(("u_sup", "cos"))) for name in names])
        observed = [obs + 0.001 * jnp.sin(3.0 * i + jnp.arange(obs.size, dtype=obs.dtype)) for i in range(3)]
        found = []
        for obs in observed:
            memory, action = act(memory, obs)
            found.append(action)
        return jnp.stack(found)

    @jax.jit
    def under(factors):
        return actions(detuned.act, Off(factors=factors, state=exact.init()))

    ones = jnp.ones(detuned.num_gains)
    right = np.asarray(under(ones))
    np.testing.assert_allclose(right, jax.jit(lambda: actions(exact.act, exact.init()))(), atol=1e-5)
    changed = jax.vmap(lambda i: under(ones.at[i].set(0.5)))(jnp.arange(detuned.num_gains))
    assert (np.abs(np.asarray(changed) - right).max((1, 2)) > 1e-7).all()


def test_factors_are_drawn_within_the_spread(key):
    env = make_functional("palaestra/Motor-Cont-CC-PermExDc-v0")
    detuned = Detuned(make_controller(env, "pi"), 0.5)
    factors = jax.vmap(lambda k: detuned.draw(k).factors)(jax.random.split(key, 200))
    assert factors.shape == (200, 2) and 0.5 <= factors.min() < 0.55 and 1.45 < factors.max() <= 1.5
    with pytest.raises(OptionError, match="without gains"):
        Detuned(make_controller(env, "deadbeat"))
