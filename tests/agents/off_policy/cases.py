"""Small learners of every kind and made-up transitions for them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from palaestra.agents.off_policy.config import Nets
from palaestra.agents.off_policy.sac import SAC, Conservative, Hyper
from palaestra.agents.off_policy.transitions import ACTION_LIMIT, Transitions

OBS, ACTION, BATCH = 5, 2, 16

NORMED = Nets(critic=(24, 24), actor=(24,), critic_norm=True, actor_norm=True, last_scale=0.01)
UNIFORM = dataclasses.replace(NORMED, critic=(24,), std="uniform")
PLAIN = Nets(critic=(24,), actor=(24,))
REFERENCE = Hyper(actor_rate=1e-4, critic_rate=3e-4, temperature_rate=1e-4)

WSRL = SAC(
    nets=NORMED,
    num_critics=10,
    draw_repeats=True,
    utd=4,
    batch_size=BATCH,
    soft_target=False,
    entropy_at="next_obs",
    reference_optimizer_leak=True,
    hyper=REFERENCE,
)
RLPD = dataclasses.replace(
    WSRL,
    draw_repeats=False,
    utd=3,
    actor_value="mean",
    actor_batch="last",
    soft_target=True,
    entropy_at="obs",
    hyper=Hyper(target_entropy=-0.5),
)
CQL = dataclasses.replace(WSRL, utd=1, target_draws=10, conservative=Conservative(members=2))
CALQL = dataclasses.replace(
    CQL, nets=UNIFORM, num_critics=4, conservative=Conservative(weight=1.0, calibrated=True, gap=0.8, members=2)
)
# What no published form has at once.
COUNTED = dataclasses.replace(
    CALQL,
    nets=PLAIN,
    num_critics=2,
    draw_repeats=False,
    soft_target=True,
    actor_value="mean",
    entropy_at="obs",
    conservative=Conservative(calibrated=True, importance=False, draws=4),
)
LEARNERS = {"wsrl": WSRL, "rlpd": RLPD, "cql": CQL, "calql": CALQL, "counted": COUNTED}


def made_transitions(seed, count, obs=OBS, action=ACTION, with_returns=True):
    """Random ones; a fifth of the steps is terminal, and returns lie about where values do."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    over = rng.random(count) < 0.2
    return Transitions(
        obs=jnp.asarray(draw(count, obs)),
        action=jnp.asarray(rng.uniform(-ACTION_LIMIT, ACTION_LIMIT, (count, action)).astype(np.float32)),
        reward=jnp.asarray(draw(count)),
        next_obs=jnp.asarray(draw(count, obs)),
        mask=jnp.asarray(1.0 - over.astype(np.float32)),
        ended=jnp.asarray(over | (rng.random(count) < 0.1)),
        return_to_go=jnp.asarray(draw(count)) if with_returns else None,
    )


def assert_trees_equal(a, b):
    """Bit for bit."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


def assert_trees_close(a, b, **tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def quick(function, **options):
    """`jax.jit` for programs that take longer to compile than to run."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0}, **options)


def made_learned(learner, seed, obs=OBS, action=ACTION, scale=0.4):
    """A learner state with normal numbers for parameters, which are at hand sooner than `init`'s orthogonal ones."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda key: learner.init(key, obs, action), jax.random.key(0))
    draw = lambda s: jnp.asarray(rng.normal(scale=scale, size=s.shape).astype(np.float32))  # noqa: E731
    return shapes.replace(
        params=jax.tree.map(draw, shapes.params),
        target_params=jax.tree.map(draw, shapes.target_params),
        opt_state=jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes.opt_state),
        hyper=jax.tree.map(jnp.float32, learner.hyper),
    )
