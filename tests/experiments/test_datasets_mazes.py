"""Data of point mazes: qualities score what they promise, episodes end where they should, kwargs are kept."""

import gymnasium
import jax
import minari
import numpy as np
import pytest
from palaestra.envs.registration import make_functional
from palaestra.experiments.datasets import mazes
from palaestra.experiments.datasets.acting import episodes_under, returns_under
from palaestra.experiments.datasets.episodes import digest_of, take_steps
from palaestra.experiments.datasets.generators import MAZE_QUALITIES, find, full_id, make
from palaestra.experiments.datasets.load import load
from palaestra.experiments.datasets.mazes import Scale, behaviour, medium_noise, twin_of
from palaestra.experiments.datasets.names import root
from palaestra.experiments.errors import UsageError
from palaestra.experiments.foreign import foreign

UMAZE = "palaestra/PointMaze_UMaze-v0"


@pytest.fixture(autouse=True)
def few_episodes(monkeypatch):
    """References and trials of fewer episodes: the same programs, less time."""
    for name, count in (("REFERENCE_EPISODES", 128), ("TRIAL_EPISODES", 64), ("CHECK_EPISODES", 128)):
        monkeypatch.setattr(mazes, name, count)


@pytest.fixture
def robotics():
    """gymnasium-robotics, whose ids are known from then on."""
    package = pytest.importorskip("gymnasium_robotics", reason="needs the extra robotics")
    gymnasium.register_envs(package)


def test_qualities_score_what_they_promise():
    """Of the environment as it is: the goal pays as long as one stays there."""
    scale = Scale.of(make_functional(UMAZE), "default")
    noise, found = medium_noise(scale)
    assert 30 <= found <= 60 and medium_noise(scale) == (noise, found)
    assert scale.score(mazes.EXPERT, 64, 5) > 90 and scale.score(mazes.PLAY, 64, 5) > 85
    assert 20 <= scale.score(noise, 256, 6) <= 70
    assert 0 < scale.low < 40 and 200 < scale.high < 300


def test_mixed_data_by_shares_of_transitions(datasets):
    place = make("PointMaze_UMaze-v0", "mixed", 6000, seed=3)
    loaded = load(place)
    assert len(loaded) == 6000 and loaded.metadata["palaestra"]["shares"] == {
        "random": 0.4,
        "medium": 0.4,
        "expert": 0.2,
    }
    ends = np.flatnonzero(loaded.transitions.ended)
    assert {2399, 4799, 5999} <= set(ends.tolist()), "every part ends with an episode"
    rewards = [loaded.transitions.reward[a:b].mean() for a, b in ((0, 2400), (2400, 4800), (4800, 6000))]
    assert rewards[0] < rewards[2] and rewards[1] < rewards[2] and rewards[2] > 0.5
    ours = loaded.metadata["palaestra"]
    assert ours["noise"]["expert"] == 0.1 and ours["noise"]["random"] is None and 30 <= ours["medium_score"] <= 60
    assert loaded.quality["steps_to_success"]["mean"] > 10 and 0 < loaded.quality["success"] < 1
    assert loaded.refs == (loaded.metadata["ref_min_score"], loaded.metadata["ref_max_score"])
    for field in ("algorithm_name", "code_permalink", "author", "requirements", "env_spec", "description"):
        assert loaded.metadata[field]
    assert minari.load_dataset(loaded.id).total_steps == 6000
    digest = loaded.digest
    make("PointMaze_UMaze-v0", "mixed", 6000, seed=3, overwrite=True)
    assert load(place).digest == digest
    make("PointMaze_UMaze-v0", "mixed", 6000, seed=4, overwrite=True)
    assert load(place).digest != digest


def test_play_is_cut_at_the_goal_and_can_be_played_again(datasets):
    make("PointMaze_UMaze-v0", "play", 2000)
    data = minari.load_dataset(id := "palaestra/PointMaze_UMaze-v0/play-v0")
    env = data.recover_environment()
    assert all(episode.truncations[-1] and not episode.terminations.any() for episode in data)
    assert load(id).quality["success"] > 0.9
    episode, about = data[3], next(iter(data.storage.get_episode_metadata([3])))
    obs, _ = env.reset(seed=about["seed"], options=about["options"])
    for action, expected in zip(episode.actions, episode.observations["observation"], strict=False):
        np.testing.assert_allclose(obs["observation"], expected, atol=1e-4)
        obs, *_ = env.step(action)


def test_arguments_of_the_environment_are_kept_and_need_an_id(datasets):
    kwargs = {"continuing_task": False, "maze": "111111/100001/111111", "goal_cell": [1, 1]}
    with pytest.raises(UsageError, match="--id"):
        make("PointMaze_UMaze-v0", "expert", 300, env_kwargs=kwargs)
    with pytest.raises(UsageError, match=r"env\.continues"):
        make("PointMaze_UMaze-v0", "expert", 300, env_kwargs={"continues": False}, id="mine/corridor-v0")
    make("PointMaze_UMaze-v0", "expert", 300, env_kwargs=kwargs, id="mine/corridor-v0")
    loaded = load("mine/corridor-v0")
    assert loaded.quality["terminated"] > 0.7 and loaded.refs[1] == 1.0
    again = gymnasium.make(loaded.env_spec).unwrapped.functional
    assert (again.maze, again.continuing_task, again.goal_cell) == (kwargs["maze"], False, (1, 1))
    goals = loaded.transitions.obs[:, 4:]
    assert np.ptp(goals, 0).max() < 0.5, "the goal's cell is fixed"


def test_bad_ids_and_needless_flags_leave_nothing_behind(datasets):
    for options, message in (
        ({"id": "no version"}, "data set id"),
        ({"run": "runs/one"}, "argument without a use: --run"),
        ({"train_steps": 100}, "argument without a use: --train-steps"),
        ({"env_kwargs": {"maze": "11/11"}, "id": "a/b-v0"}, "maze"),
    ):
        with pytest.raises(UsageError, match=message):
            make("PointMaze_UMaze-v0", "expert", 100, **options)
    assert not root().exists() or not list(root().rglob("*.hdf5"))


def test_a_failure_on_the_way_leaves_nothing_behind(datasets, monkeypatch):
    def fails(*args):
        yield from take_steps(episodes_under(*args), 50)
        raise RuntimeError("on the way")

    monkeypatch.setattr(mazes, "episodes_under", fails)
    with pytest.raises(RuntimeError, match="on the way"):
        make("PointMaze_UMaze-v0", "expert", 1000)
    assert not [path for path in root().rglob("*") if path.is_dir() and path.name.startswith(".tmp-")]
    assert not list(root().rglob("*.hdf5"))


def test_tasks_of_our_mazes_are_recorded(datasets):
    place = make("PointMaze_UMaze-v0", "expert", 900, tasks="space")
    data = minari.load_dataset("palaestra/PointMaze_UMaze-v0/expert-v0")
    params = [episode.infos["env_params"][0] for episode in data]
    assert params[0].shape == (4,) and not np.array_equal(params[0], params[1])
    assert load(place).metadata["palaestra"]["tasks"] == "space"


def test_mazes_without_medium_data_are_refused():
    env = make_functional(UMAZE, maze="1111/1001/1111", continuing_task=False)
    with pytest.raises(UsageError, match="no medium data of this maze"):
        medium_noise(Scale(env, "default", 1.0, 1.0))


def test_registered_for_all_mazes():
    for id in ("palaestra/PointMaze_Large_Diverse_GR-v0", "palaestra/PointMaze_OpenDense-v0"):
        assert all(find(id, quality).function.startswith(".mazes") for quality in MAZE_QUALITIES)


def test_mazes_of_gymnasium_robotics(robotics, datasets):
    assert full_id("PointMaze_UMaze-v3") == "PointMaze_UMaze-v3"
    place = make("PointMaze_UMaze-v3", "play", 700, seed=1)
    loaded = load(place)
    assert loaded.quality["success"] > 0.5 and loaded.quality["terminated"] == 0
    assert any(word.startswith("gymnasium-robotics==") for word in loaded.metadata["requirements"])
    digest = loaded.digest
    make("PointMaze_UMaze-v3", "play", 700, seed=1, overwrite=True)
    assert load(place).digest == digest
    with pytest.raises(UsageError, match="--tasks"):
        make("PointMaze_UMaze-v3", "play", 700, tasks="space", overwrite=True)


def test_lanes_do_not_change_episodes_on_the_host(robotics):
    from palaestra.experiments.datasets.host_episodes import host_episodes

    env = foreign(
        "PointMaze_UMaze-v3", {"continuing_task": False, "maze_map": [[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]]}
    )
    acting = behaviour(twin_of(env), 4.0)
    few, many = (digest_of(take_steps(host_episodes(env, acting, 2, lanes), 400)) for lanes in (1, 5))
    assert few == many


def test_twins_have_the_same_rules_and_returns(robotics):
    twin = twin_of(foreign("PointMaze_Large_Diverse_GDense-v3", {"max_episode_steps": 70, "continuing_task": False}))
    ours = make_functional("palaestra/PointMaze_Large_Diverse_GDense-v0", horizon=70, continuing_task=False)
    assert (twin.placement.plan.walls == ours.placement.plan.walls).all()
    assert (twin.plan.goals == ours.plan.goals).all() and (twin.plan.starts == ours.plan.starts).all()
    assert (twin.horizon, twin.reward_type, twin.continuing_task) == (70, "dense", False)
    env = foreign("PointMaze_UMaze-v3", {})
    theirs = returns_under(env, behaviour(twin_of(env), 0.5), 24).mean
    assert theirs == pytest.approx(returns_under(twin_of(env), behaviour(twin_of(env), 0.5), 64).mean, rel=0.08)
    with pytest.raises(UsageError, match="maze_height"):
        twin_of(foreign("PointMaze_UMaze-v3", {"maze_height": 1.0}))


def test_noise_is_no_new_program():
    from palaestra.experiments.datasets.behaviours import take_apart

    env = make_functional(UMAZE)
    a, b = (take_apart(behaviour(env, noise)) for noise in (0.1, 3.0))
    assert a[0] == b[0] and hash(a[0]) == hash(b[0]) and a[1] != b[1]
    assert jax.tree.structure(a[1]) == jax.tree.structure(b[1])


@pytest.mark.slow
def test_cloned_experts_find_the_goal(datasets, tmp_path):
    """Behaviour cloning on 20,000 expert steps: more than nine of ten episodes reach their goal."""
    from palaestra.experiments import assemble
    from palaestra.experiments.metrics import read_rows
    from palaestra.experiments.runner import train

    make("PointMaze_UMaze-v0", "expert", 20_000, env_kwargs={"continuing_task": False}, id="mine/expert-v0")
    setup = assemble.complete(
        {
            "env": UMAZE,
            "env_kwargs": {"continuing_task": False},
            "agent": "bc",
            "dataset": "mine/expert-v0",
            "run": {"total_timesteps": 5000, "eval_every": 5000, "eval_episodes": 100},
        }
    )
    train(assemble.build(setup), setup.run, tmp_path / "run", config=setup.to_plain())
    assert read_rows(tmp_path / "run" / "evals.jsonl")[-1]["eval/success_rate"] > 0.9
