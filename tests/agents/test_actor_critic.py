"""What the networks look at, their published form, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from palaestra.agents.actor_critic import NETWORKS
from palaestra.agents.ppo import PPO
from palaestra.agents.presets import PublishedMiniGrid
from palaestra.agents.spaces import flatten_observation, observation_size
from palaestra.curricula import Fixed
from palaestra.envs.classic.cartpole import CartPole
from palaestra.envs.errors import OptionError
from palaestra.envs.registration import make_functional
from palaestra.envs.stepping import reset

GRID = spaces.Box(0, 255, (7, 7, 3), np.uint8)


def count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def test_the_published_network_has_the_published_sizes(key):
    network = NETWORKS["grid"](spaces.Dict({"image": GRID, "direction": spaces.Discrete(4)}), (256,), None, 7, 1)
    params = jax.eval_shape(network.init, key, key)
    convolutions = (27 * 32 + 32) + 2 * (288 * 32 + 32)
    assert count(params["torso"]) == convolutions + 32 * 256 + 256
    assert count(params["actor"]) == 256 * 7 + 7
    assert count(params["critic"]) == 256 + 1


def test_heads_have_gain_one_and_output_and_value_are_both(key):
    network = NETWORKS["grid"](spaces.Dict({"image": GRID}), (16,), None, 7, 2)
    params = jax.jit(network.init)(key, jax.random.key(1))
    kernel = params["actor"]["params"]["kernel"]
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(7), atol=1e-4)
    flat = jax.random.normal(key, (3, 5, 147))
    output, value = jax.jit(network.both)(params, flat)
    assert output.shape == (3, 5, 7) and value.shape == (3, 5, 2)
    np.testing.assert_allclose(output, jax.jit(network.output)(params, flat), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(value, jax.jit(network.value)(params, flat), rtol=1e-6, atol=1e-6)


def test_codes_go_in_as_they_are(key):
    """By hand: ELU convolutions of the raw codes, one dense layer with ReLU, a linear head."""
    space = spaces.Dict({"image": GRID})
    network = NETWORKS["grid"](space, (16,), None, 7, 2)
    params = jax.jit(network.init)(key, jax.random.key(1))
    image = jax.random.randint(key, (7, 7, 3), 0, 11).astype(jnp.uint8)
    output = network.output(params, flatten_observation(network.view, {"image": image}))
    x = np.asarray(image, np.float64)
    torso = params["torso"]["params"]
    for i in range(3):
        layer = torso["ConvolutionStack_0"][f"Convolution_{i}"]
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        size = (x.shape[0] + 1) // 2
        kernel = np.asarray(layer["kernel"], np.float64)
        x = np.array(
            [
                [padded[2 * r : 2 * r + 3, 2 * c : 2 * c + 3].reshape(-1) @ kernel for c in range(size)]
                for r in range(size)
            ]
        ) + np.asarray(layer["bias"])
        x = np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))
    dense = torso["Dense_0"]
    x = np.maximum(x.reshape(-1) @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"]), 0.0)
    head = params["actor"]["params"]
    np.testing.assert_allclose(output, x @ np.asarray(head["kernel"]) + np.asarray(head["bias"]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("beside", "size"), [(None, 147), ((), 147), (("direction",), 151), (("mission", "direction"), None)]
)
def test_minigrid_shows_its_image_and_the_rest_on_request(beside, size, key):
    env = make_functional("palaestra/MiniGrid-Empty-5x5-v0")
    network = NETWORKS["grid"](env.observation_space, (16,), beside, 7, 1)
    words = env.observation_space["mission"].num_codes
    assert observation_size(network.view) == (size or 151 + words)

    def output(key):
        _, obs = reset(env, key)
        return network.output(network.init(key, key), flatten_observation(network.view, obs))

    assert jax.eval_shape(output, key).shape == (7,)


def test_a_subgoal_is_seen_where_there_is_one(key):
    env = make_functional("palaestra/MiniGrid-KeyCorridorS3R1-Subgoals-v0")
    network = NETWORKS["grid"](env.observation_space, (16,), None, 7, 1)
    assert set(network.view.spaces) == {"image", "subgoal"}
    obs = {"image": jnp.ones((7, 7, 3), jnp.uint8), "subgoal": jnp.zeros(env.observation_space["subgoal"].shape)}
    other = obs | {"subgoal": obs["subgoal"] + 3.0}

    def outputs(key):
        params = network.init(key, key)
        return [network.output(params, flatten_observation(network.view, o)) for o in (obs, other)]

    assert not np.allclose(*jax.jit(outputs)(key))


@pytest.mark.parametrize("shape", [(3, 3, 3), (5, 5, 3), (9, 9, 3), (7, 7, 20), (8, 11, 3)])
def test_other_windows_and_one_hot_images_fit(shape, key):
    network = NETWORKS["grid"](spaces.Dict({"image": spaces.Box(0, 255, shape, np.uint8)}), (8,), None, 3, 1)
    flat = jnp.ones((2, int(np.prod(shape))))
    assert jax.eval_shape(lambda k: network.output(network.init(k, k), flat), key).shape == (2, 3)


@pytest.mark.parametrize(
    ("kind", "space", "beside", "error", "message"),
    [
        ("grid", CartPole().observation_space, None, OptionError, "expected a Dict with a Box 'image'"),
        (
            "grid",
            spaces.Dict({"image": spaces.Box(0, 1, (7, 7))}),
            None,
            OptionError,
            "expected a Dict with a Box 'imag",
        ),
        ("grid", spaces.Dict({"image": GRID}), ("direktion",), OptionError, "observation parts .'direktion'"),
        ("mlp", spaces.Dict({"image": GRID}), ("image",), OptionError, "beside_image=.* with network='mlp'"),
    ],
)
def test_what_cannot_be_seen_is_refused(kind, space, beside, error, message):
    with pytest.raises(error, match=message):
        NETWORKS[kind](space, (8,), beside, 2, 1)


def test_an_agent_without_an_image_says_so(key):
    with pytest.raises(OptionError, match="network='grid': got the observation space"):
        PPO(CartPole(), Fixed(), PublishedMiniGrid()).init(key)
