"""Any Minari data set becomes the arrays learners take, and learners see online what they saw offline."""

import dataclasses
import json

import gymnasium
import jax
import minari
import numpy as np
import pytest
from gymnasium import spaces
from made_datasets import ABOUT, GOAL, ID, episodes, sample
from palaestra.agents.off_policy.transitions import ACTION_LIMIT
from palaestra.agents.spaces import BoxHead, action_head, flatten_observation, learner_view
from palaestra.experiments.datasets import columns
from palaestra.experiments.datasets.fit import check_fits
from palaestra.experiments.datasets.load import load
from palaestra.experiments.datasets.store import write_dataset
from palaestra.experiments.datasets.trees import flat_size, flatten_rows
from palaestra.experiments.errors import InputFileError, UsageError


def written(about=ABOUT, format="hdf5", lengths=(5, 1, 4), **fields):
    write_dataset(ID, episodes(lengths, about, **fields), about, format, overwrite=True)
    return list(episodes(lengths, about, **fields))


@pytest.mark.parametrize("format", ["hdf5", "arrow"])
def test_transitions_are_the_episodes_one_after_another(format, datasets):
    made = written(format=format)
    loaded = load(ID)
    found = loaded.transitions
    assert len(loaded) == 10 and loaded.episodes == 3 and loaded.refs == (-1.0, 9.0) and loaded.id == ID
    np.testing.assert_array_equal(found.obs, np.concatenate([e.observations[:-1] for e in made]).astype(np.float32))
    np.testing.assert_array_equal(found.next_obs, np.concatenate([e.observations[1:] for e in made]).astype(np.float32))
    np.testing.assert_array_equal(found.reward, np.concatenate([e.rewards for e in made]).astype(np.float32))
    np.testing.assert_array_equal(np.flatnonzero(found.ended), [4, 5, 9])
    np.testing.assert_array_equal(np.flatnonzero(found.mask == 0), [4, 9])  # the second was cut off by the clock
    assert {str(x.dtype) for x in jax.tree.leaves(found)} == {"float32", "bool"}
    np.testing.assert_allclose(loaded.returns, [e.return_ for e in made])
    assert loaded.warnings == () and found.return_to_go is None


def test_actions_are_in_units_of_half_their_box(datasets):
    ends = np.array([[-2.0, 0.0], [0.0, 2.0], [2.0, 4.0], [3.0, 2.0]], np.float32)
    written(lengths=(4,), actions=ends)
    loaded = load(ID)
    c = ACTION_LIMIT
    np.testing.assert_allclose(loaded.transitions.action, [[-c, -c], [0, 0], [c, c], [c, 0]], atol=1e-6)
    assert np.abs(loaded.transitions.action).max() <= c
    assert any("1 actions outside" in text for text in loaded.warnings)


def test_from_env_is_the_inverse_of_to_env(key):
    head = action_head(spaces.Box(np.full((2, 3), -2.0, np.float32), np.full((2, 3), 5.0, np.float32)))
    assert isinstance(head, BoxHead)
    action = jax.random.uniform(key, (4, 7, 6), minval=-1, maxval=1)
    np.testing.assert_allclose(head.from_env(head.to_env(action)), action, atol=1e-6)
    assert isinstance(head.from_env(np.zeros((5, 2, 3))), np.ndarray)


def test_both_ends_at_once_count_as_terminated(datasets):
    written(lengths=(3,))
    import h5py

    with h5py.File(datasets / ID / "data" / "main_data.hdf5", "a") as file:
        file["episode_0/truncations"][-1] = True
    assert load(ID).transitions.mask.tolist() == [1, 1, 0]


def test_single_episodes_of_one_step_and_integer_rewards(datasets):
    written(lengths=(1,), rewards=np.array([3]))
    found = load(ID).transitions
    assert found.reward.tolist() == [3.0] and found.reward.dtype == np.float32 and found.ended.tolist() == [True]


def test_d4rl_compat_drops_the_last_transition_of_episodes_that_the_clock_ended(datasets):
    made = written(lengths=(5, 3, 4))
    found = load(ID, d4rl_compat=True).transitions
    assert np.flatnonzero(found.ended).tolist() == [4, 6, 10] and found.mask.tolist()[4:7] == [0, 1, 1]
    np.testing.assert_allclose(found.reward[5:7], made[1].rewards[:2].astype(np.float32))
    written(lengths=(1,), terminated=False, truncated=True)
    with pytest.raises(UsageError, match="nothing left"):
        load(ID, d4rl_compat=True)


def test_rewards_are_transformed_and_returns_taken_of_that(datasets):
    written(lengths=(3,), rewards=np.array([1.0, 2.0, 3.0]))
    found = load(ID, reward_scale=10, reward_bias=-5, discount=0.5)
    np.testing.assert_allclose(found.transitions.reward, [5, 15, 25])
    np.testing.assert_allclose(found.transitions.return_to_go, [18.75, 27.5, 25])
    np.testing.assert_allclose(found.returns, [6.0])
    written(lengths=(2,), rewards=np.array([0.0, 0.0]))
    failed = load(ID, reward_scale=10, reward_bias=-5, discount=0.9, failure_reward=-5.0).transitions
    np.testing.assert_allclose(failed.return_to_go, [-50, -50], rtol=1e-5)
    for options in ({"discount": 1.0}, {"reward_scale": np.nan}, {"discrete": "what"}):
        with pytest.raises(UsageError, match="bad value"):
            load(ID, **options)


NESTED = {
    "goal": GOAL,
    "dict": spaces.Dict(b=spaces.Box(-1, 1, (2, 2)), a=spaces.Discrete(3, start=2), c=spaces.MultiBinary(2)),
    "given order": spaces.Dict([("b", spaces.Box(-1, 1, (2,))), ("a", spaces.Box(-1, 1, (1,)))]),
    "discrete": spaces.Discrete(4),
}


@pytest.mark.parametrize("name", NESTED)
def test_learners_see_the_same_vector_online_and_offline(name, datasets):
    space = NESTED[name]
    made = written(dataclasses.replace(ABOUT, observation_space=space))
    loaded = load(ID)
    online = [flatten_observation(learner_view(space), e.observations) for e in made]  # as agents do
    np.testing.assert_allclose(loaded.transitions.obs, np.concatenate([x[:-1] for x in online]), rtol=1e-6)
    np.testing.assert_allclose(loaded.transitions.next_obs, np.concatenate([x[1:] for x in online]), rtol=1e-6)
    check_fits(loaded, space, ABOUT.action_space)


def test_tasks_with_a_goal_show_observation_then_goal():
    assert list(learner_view(GOAL).spaces) == ["observation", "desired_goal"]
    assert learner_view(ABOUT.observation_space) is ABOUT.observation_space


@pytest.mark.parametrize(
    "space",
    [
        spaces.Tuple([spaces.Box(-1, 1, (2,)), spaces.Discrete(3)]),
        spaces.Dict(x=spaces.Tuple([spaces.MultiBinary(2)]), y=spaces.Discrete(2, start=5)),
    ],
)
def test_rows_are_flat_as_gymnasium_makes_them(space):
    rows = sample(space, np.random.default_rng(0), 3)
    flat = flatten_rows(space, rows)
    assert flat.shape == (3, flat_size(space))
    for index in range(3):
        row = _row(rows, index)
        np.testing.assert_allclose(flat[index], spaces.flatten(space, row), rtol=1e-6)


def _row(rows, index):
    if isinstance(rows, dict):
        return {name: _row(sub, index) for name, sub in rows.items()}
    return tuple(_row(sub, index) for sub in rows) if isinstance(rows, tuple) else rows[index]


def test_multi_discrete_observations_are_flat_as_gymnasium_makes_them():
    space = spaces.MultiDiscrete([2, 3])
    flat = flatten_rows(space, np.array([[0, 2], [1, 0]]))
    np.testing.assert_array_equal(flat, [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]])


def test_discrete_actions_as_rows_of_one_hot(datasets):
    about = dataclasses.replace(ABOUT, action_space=spaces.Discrete(3, start=1))
    made = written(about)
    found = load(ID, discrete="one_hot").transitions
    assert found.action.shape == (10, 3)
    np.testing.assert_array_equal(found.action.argmax(1) + 1, np.concatenate([e.actions for e in made]))


def test_minaris_own_data_sets_load(datasets):
    env = minari.DataCollector(gymnasium.make("palaestra/Pendulum-v0"))
    for seed in range(2):
        env.reset(seed=seed)
        ended = False
        while not ended:
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            ended = terminated or truncated
    with pytest.warns(UserWarning):
        env.create_dataset("mine/pendulum-v3", algorithm_name="random")
    env.close()
    loaded = load("mine/pendulum-v3")
    assert len(loaded) == 400 and loaded.env_spec.id == "palaestra/Pendulum-v0" and loaded.refs is None
    assert any("raw returns" in text for text in loaded.warnings)
    check_fits(loaded, env.observation_space, env.action_space)
    assert load(datasets / "mine" / "pendulum-v3").digest == loaded.digest


def test_a_data_set_of_an_environment_that_is_not_there_loads(datasets):
    spec = gymnasium.spec("CartPole-v1")
    written(dataclasses.replace(ABOUT, env_spec=spec))
    file = datasets / ID / "data" / "metadata.json"
    metadata = json.loads(file.read_text())
    gone = json.loads(metadata["env_spec"]) | {"id": "Gone-v0", "entry_point": "nowhere:Gone", "autoreset": False}
    file.write_text(json.dumps(metadata | {"env_spec": json.dumps(gone)}))
    loaded = load(ID)
    assert loaded.env_spec.id == "Gone-v0" and len(loaded) == 10
    file.write_text(json.dumps(metadata | {"env_spec": "no json"}))
    loaded = load(ID)
    assert loaded.env_spec is None and any("env_spec" in text for text in loaded.warnings)


def test_the_digest_is_of_the_contents(datasets):
    written()
    first = load(ID)
    assert load(ID, reward_scale=2.0, discount=0.9).digest == first.digest == first.metadata["palaestra"]["sha256"]
    written(format="arrow")
    assert load(ID).digest == first.digest
    import h5py

    written()
    with h5py.File(datasets / ID / "data" / "main_data.hdf5", "a") as file:
        file["episode_0/rewards"][0] += 1
    changed = load(ID)
    assert changed.digest != first.digest and any("SHA-256" in text for text in changed.warnings)


def test_large_arrays_live_in_files(datasets, monkeypatch):
    written()
    small = load(ID).transitions
    monkeypatch.setattr(columns, "MEMORY", 100)
    large = load(ID).transitions
    assert isinstance(large.obs, np.memmap)
    jax.tree.map(np.testing.assert_array_equal, small, large)


def test_data_of_another_environment_are_refused(datasets):
    written()
    loaded = load(ID)
    box = spaces.Box(-1, 1, (3,), np.float32)
    check_fits(loaded, box, ABOUT.action_space)  # bounds of observations and dtypes may differ
    for seen, done, field in (
        (spaces.Box(-1, 1, (4,)), ABOUT.action_space, "observation_space"),
        (spaces.Dict(a=box), ABOUT.action_space, "observation_space"),
        (box, spaces.Box(-1, 1, (2,)), "action_space"),
        (box, spaces.Discrete(2), "action_space"),
    ):
        with pytest.raises(InputFileError, match=field) as caught:
            check_fits(loaded, seen, done)
        assert caught.value.code == 4 and ID in caught.value.file
