"""Data of trained policies: which checkpoint is which quality, what is recorded of it, and what is refused."""

import dataclasses
import json
import types

import gymnasium
import jax.numpy as jnp
import minari
import numpy as np
import pytest
from palaestra.agents.off_policy.acting import Interface
from palaestra.agents.off_policy.config import Rewards
from palaestra.agents.off_policy.replay import add, init_replay
from palaestra.agents.off_policy.transitions import Transitions
from palaestra.experiments import assemble
from palaestra.experiments.config import merge
from palaestra.experiments.datasets import policies, training
from palaestra.experiments.datasets.acting import Returns
from palaestra.experiments.datasets.generators import find, make
from palaestra.experiments.datasets.load import load
from palaestra.experiments.datasets.names import root
from palaestra.experiments.datasets.policies import Ratings
from palaestra.experiments.datasets.replays import replay_episodes
from palaestra.experiments.datasets.requests import Request
from palaestra.experiments.datasets.training import trained_run, training_of
from palaestra.experiments.datasets.uniform_actions import Uniform
from palaestra.experiments.errors import ExitCode, InputFileError, ResourceError, UsageError
from palaestra.experiments.runner import train

OURS = ("Pendulum-v0", {"horizon": 30})
THEIRS = ("Pendulum-v1", {"max_episode_steps": 30})
TRAIN_STEPS, CHECKPOINTS = 240, 6
SCALE = (-400.0, 0.0)
RUN = types.SimpleNamespace(path="run")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of tiny learners, which no test makes a second time."""
    return tmp_path_factory.mktemp("runs")


def small(setup):
    """A run with a learner of a few weights."""
    learner = {"nets": {"actor": [8], "critic": [8]}, "batch_size": 8}
    return dataclasses.replace(setup, agent_config=merge(setup.agent_config, {"learner": learner}))


@pytest.fixture(autouse=True)
def tiny(folder, datasets, monkeypatch):
    """Learners that learn nothing in no time; every checkpoint is good enough for everything."""
    monkeypatch.setenv("PALAESTRA_RUNS", str(folder))
    monkeypatch.setattr(training, "training_of", lambda request, of=training.training_of: small(of(request)))
    monkeypatch.setattr(policies, "own_reference", lambda env_id: SCALE)
    monkeypatch.setattr(training, "_save_every", lambda total: total // CHECKPOINTS)
    for name, value in (
        ("EXPERT", -np.inf),
        ("BAND", (-np.inf, np.inf)),
        ("REFERENCE_STEPS", 600),
        ("RATING_EPISODES", 3),
    ):
        monkeypatch.setattr(policies, name, value)


def made(env, quality, steps=90, **options):
    id, kwargs = env
    return load(
        make(
            id, quality, steps, env_kwargs=kwargs, id="mine/made-v0", train_steps=TRAIN_STEPS, overwrite=True, **options
        )
    )


def run_of(env, seed=0):
    id, kwargs = env
    id = f"palaestra/{id}" if id.endswith("v0") else id
    return trained_run(Request(id, "expert", 1, seed, env_kwargs=kwargs, train_steps=TRAIN_STEPS))


def rated(*scores):
    """Ratings of checkpoints 10, 20, ... whose returns are these scores."""
    returns = {10 * (i + 1): float(score) for i, score in enumerate(scores)}
    return Ratings(returns, 0.0, 100.0, Returns(0.0, 1))


@pytest.fixture
def real_bands(monkeypatch):
    monkeypatch.setattr(policies, "EXPERT", 90.0)
    monkeypatch.setattr(policies, "BAND", (30.0, 60.0))


@pytest.mark.parametrize(
    ("scores", "step"),
    [
        ((0, 20, 50, 46, 90), 30),  # the first beyond 45
        ((0, 40, 80, 41, 90), 40),  # too good: the one nearest to 45
        ((0, 44, 61, 59, 90), 20),
    ],
)
def test_medium_is_the_first_to_score_45_unless_it_is_too_good(scores, step, real_bands):
    assert rated(*scores).medium(RUN) == step


def test_what_is_not_good_enough_is_refused_by_its_score(real_bands):
    assert rated(*[0] * 8, 95, 92).expert(RUN) == 100
    with pytest.raises(UsageError, match=r"no expert.*got 80 at the end and 90 through its last fifth"):
        rated(*[0] * 8, 100, 80).expert(RUN)
    with pytest.raises(UsageError, match=r"got 100 at the end and 85 through"):
        rated(*[0] * 8, 70, 100).expert(RUN)
    with pytest.raises(UsageError, match=r"no medium policy.*20 at step 20 and then 80 at step 30"):
        rated(0, 20, 80, 90, 100).medium(RUN)
    with pytest.raises(UsageError, match=r"at most 29"):
        rated(0, 20, 29).medium(RUN)


@pytest.mark.parametrize("env", [OURS, THEIRS], ids=["ours", "theirs"])
def test_policies_act_and_are_described(env):
    expert = made(env, "expert", seed=0)
    assert len(expert) == 90 and expert.episodes == 3 and not expert.warnings
    ours = expert.metadata["palaestra"]["training"]
    assert (
        ours["checkpoints"] == {"expert": TRAIN_STEPS}
        and ours["agent"] == "sac"
        and len(ours["returns"]) == CHECKPOINTS
    )
    assert expert.refs == SCALE and ours["random_episodes"] == 20 and ours["random_return"] < 0
    assert expert.metadata["algorithm_name"] == f"100% sac at step {TRAIN_STEPS}"
    assert expert.metadata["code_permalink"].endswith("policies.py")
    assert expert.env_spec.id.endswith(env[0]) and np.ptp(expert.transitions.action) > 0.1
    assert minari.load_dataset("mine/made-v0").total_steps == 90
    assert made(env, "expert", seed=0).digest == expert.digest


def test_a_run_is_made_once_and_found_again(folder):
    def when():
        return [path.stat().st_mtime_ns for path in sorted(run_of(OURS).path.rglob("manifest*"))]

    assert when() == when() and len(when()) > CHECKPOINTS
    setup = training_of(Request("palaestra/Pendulum-v0", "expert", 1, 0, env_kwargs=OURS[1], train_steps=TRAIN_STEPS))
    assert setup.run.keep > CHECKPOINTS and setup.agent_config["buffer_size"] >= TRAIN_STEPS
    assert run_of(OURS).steps == [40, 80, 120, 160, 200, 240]


def test_without_a_scale_of_its_own_a_run_is_measured_by_random_actions_and_its_best(monkeypatch):
    request = Request("palaestra/Pendulum-v0", "expert", 1, 0, env_kwargs=OURS[1], train_steps=TRAIN_STEPS)
    monkeypatch.setattr(policies, "own_reference", lambda env_id: None)
    random = types.SimpleNamespace(mean=-1000.0, episodes=20)
    behaved = lambda env, acting, *_: random if isinstance(acting, Uniform) else Returns(-500.0, 3)  # noqa: E731
    monkeypatch.setattr(policies, "returns_under", behaved)
    ratings = Ratings.of(request, run_of(OURS))
    assert (ratings.low, ratings.high) == (-1000.0, -500.0) and ratings.plateau() == 100.0
    random.mean = -400.0
    with pytest.raises(UsageError, match="nothing learned"):
        Ratings.of(request, run_of(OURS))


@pytest.mark.parametrize("env", [OURS, THEIRS], ids=["ours", "theirs"])
def test_medium_replay_is_all_the_learner_had_seen(env, monkeypatch):
    monkeypatch.setattr(policies, "AIM", np.inf)  # nobody scores it: the nearest to it is the best
    replay = made(env, "medium-replay", 1000)
    step = replay.metadata["palaestra"]["training"]["checkpoints"]["medium-replay"]
    rows = run_of(env).state(step).replay.rows
    assert len(replay) == step and replay.episodes == -(-step // 30)
    for name in ("obs", "next_obs", "reward", "mask"):
        np.testing.assert_allclose(getattr(replay.transitions, name), getattr(rows, name)[:step], rtol=1e-6)
    np.testing.assert_allclose(replay.transitions.action, rows.action[:step], atol=1e-4)
    assert np.flatnonzero(replay.transitions.ended)[:1] == [29]


def test_mixtures_by_shares_of_transitions():
    loaded = made(OURS, "mixed", 300)
    assert {119, 239, 299} <= set(np.flatnonzero(loaded.transitions.ended).tolist())
    assert loaded.metadata["palaestra"]["training"]["checkpoints"].keys() == {"medium", "expert"}
    assert "40% actions drawn evenly" in loaded.metadata["algorithm_name"]
    assert np.flatnonzero(made(OURS, "medium-expert", 90).transitions.ended).tolist() == [29, 44, 74, 89]


def test_tasks_are_drawn_and_recorded():
    loaded = made(OURS, "expert", 90, tasks="space")
    data = minari.load_dataset("mine/made-v0")
    assert not np.array_equal(data[0].infos["env_params"][0], data[1].infos["env_params"][0])
    assert loaded.metadata["palaestra"]["tasks"] == "space"
    setup = training_of(Request("palaestra/Pendulum-v0", "expert", 1, tasks="space", train_steps=TRAIN_STEPS))
    assert setup.teacher == "random"
    with pytest.raises(UsageError, match="--tasks"):
        made(OURS, "medium-replay", tasks="space")
    with pytest.raises(UsageError, match="--tasks"):
        made(THEIRS, "expert", tasks="space")


def test_a_given_run_is_used_if_it_is_of_the_environment():
    run = run_of(OURS).path
    place = make("Pendulum-v0", "expert", 60, env_kwargs=OURS[1], id="mine/given-v0", run=run)
    assert load(place).metadata["palaestra"]["training"]["run"] == run.name
    for words, options, message in (
        (("Pendulum-v0", "medium", 60), {}, "other arguments: --env-kwargs"),
        (("PointMaze_UMaze-v0", "medium-replay", 60), {}, "other environment|another environment|keep whole"),
        (("Pendulum-v1", "expert", 60), {}, "another environment"),
        (("Pendulum-v0", "expert", 60), {"train_steps": 100}, "--train-steps"),
    ):
        with pytest.raises(UsageError, match=message):
            make(*words, run=run, id="mine/bad-v0", **options)
    with pytest.raises(InputFileError, match="not a run"):
        make("Pendulum-v0", "expert", 60, run=run.parent, id="mine/bad-v0")
    assert not (root() / "mine" / "bad-v0").exists()


def test_runs_of_other_agents_act_but_have_no_replay(tmp_path):
    agent = {"num_envs": 2, "rollout_length": 8, "num_minibatches": 1, "epochs": 1, "hidden": [8]}
    run = {"total_timesteps": 96, "save_every": 16, "keep": 99, "eval_every": 0}
    given = {"env": "Pendulum-v0", "env_kwargs": OURS[1], "agent": "ppo", "agent_config": agent, "run": run}
    setup = assemble.complete(given)
    train(assemble.build(setup), setup.run, tmp_path / "run", config=setup.to_plain())
    options = {"env_kwargs": OURS[1], "id": "mine/ppo-v0", "run": tmp_path / "run"}
    assert load(make("Pendulum-v0", "expert", 60, **options)).metadata["algorithm_name"] == "100% ppo at step 96"
    with pytest.raises(UsageError, match=r"agent without a replay.*got ppo"):
        make("Pendulum-v0", "medium-replay", 60, **options | {"id": "mine/replay-v0"})


def test_runs_with_few_checkpoints_are_refused(monkeypatch):
    monkeypatch.setattr(policies, "FEWEST", CHECKPOINTS + 1)
    with pytest.raises(UsageError, match=r"too few checkpoints.*got 6; expected at least 7"):
        made(OURS, "expert")


def test_interrupted_training_says_how_to_go_on_and_leaves_no_data(monkeypatch):
    def interrupted(*args, **kwargs):
        return types.SimpleNamespace(status="interrupted", exit_code=ExitCode.SIGTERM, steps=40)

    monkeypatch.setattr(training, "train", interrupted)
    with pytest.raises(ResourceError, match=r"interrupted.*goes on") as caught:
        made(OURS, "expert", seed=1)
    assert caught.value.code == ExitCode.SIGTERM
    assert not list(root().rglob("*.hdf5"))


def test_other_actions_are_refused_before_anything_is_trained(folder):
    for id in ("CartPole-v1", "MountainCar-v0"):
        with pytest.raises(UsageError, match="without bounded continuous actions"):
            make(id, "expert", 10)
    assert not list(folder.rglob("*CartPole*"))


def test_replays_of_several_lanes_that_have_forgotten_their_beginning():
    """Two lanes, a ring of nine rows: what is left of each lane's whole episodes, and at the end what goes on."""
    env = types.SimpleNamespace(observation_space=gymnasium.spaces.Box(-99, 99, (1,)))
    interface = Interface(env.observation_space, gymnasium.spaces.Box(-2, 2, (1,)))
    config = types.SimpleNamespace(num_envs=2, rewards=Rewards(scale=10.0, bias=-5.0))
    agent = types.SimpleNamespace(env=env, config=config, interface=interface)
    replay = init_replay(9, 1, 1)
    for t in range(8):  # lane 0 ends with steps 2, 5 and 7, lane 1 with step 3
        obs = np.array([[t], [10.0 + t]], np.float32)
        mask, ended = np.array([float(t != 7), 1.0], np.float32), np.array([t in (2, 5, 7), t == 3])
        replay = add(replay, Transitions(obs, np.float32(0.05) * obs, 10 * obs[:, 0] - 5, obs + 1, mask, ended))
    state = types.SimpleNamespace(replay=replay, steps=jnp.asarray(16))
    episodes = list(replay_episodes(agent, state))
    assert [episode.observations[:, 0].tolist() for episode in episodes] == [[6, 7, 8], [14, 15, 16, 17, 18]]
    assert [episode.rewards.tolist() for episode in episodes] == [[6, 7], [14, 15, 16, 17]]
    np.testing.assert_allclose(episodes[0].actions[:, 0], [0.6, 0.7], rtol=1e-5)
    assert [episode.terminated for episode in episodes] == [True, False]


def test_every_continuous_environment_has_them():
    for id in ("Hopper-v5", "palaestra/StumpTracks-v0", "palaestra/Motor-Cont-CC-PMSM-v0"):
        assert find(id, "medium-replay").options == ("run", "train_steps")
    assert json.dumps(dataclasses.asdict(find("Ant-v5", "expert")))


@pytest.mark.slow
def test_a_learner_that_learns_gives_every_quality(monkeypatch, tmp_path, real_bands):
    """6,000 steps of soft actor-critic on the pendulum, in two minutes: bands as promised, of fresh episodes."""
    monkeypatch.undo()
    monkeypatch.setenv("PALAESTRA_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    scores = {}
    for quality in ("expert", "medium", "medium-replay"):
        loaded = load(make("Pendulum-v0", quality, 10_000, train_steps=6000))
        low, high = loaded.refs
        scores[quality] = 100 * (loaded.returns.mean() - low) / (high - low)
    assert scores["expert"] >= 90 and 25 <= scores["medium"] <= 65 and scores["medium-replay"] < scores["medium"]
