"""Off-policy agents in runs: from data, from an earlier run, in environments of ours and of Gymnasium."""

import dataclasses
import json
import shutil

import gymnasium
import jax
import numpy as np
import pytest
from palaestra.experiments import assemble, to_learn
from palaestra.experiments.datasets.about import about_env
from palaestra.experiments.datasets.episodes import Episode
from palaestra.experiments.datasets.store import write_dataset
from palaestra.experiments.errors import InputFileError, UsageError
from palaestra.experiments.metrics import read_rows
from palaestra.experiments.records import read_episodes
from palaestra.experiments.runner import train
from stopping import StopAt, bits

NETS = {"actor": [8], "critic": [8]}
SMALL = {"nets": NETS, "batch_size": 8}
OURS, THEIRS = "palaestra/Pendulum-v0", "Pendulum-v1"
DATA = "palaestra/Pendulum/test-v0"
ONLINE = {"warmup": 40, "warmup_actions": "policy", "buffer_size": 300, "start_every": 20}
RUN = {"total_timesteps": 120, "log_every": 20, "eval_every": 60, "eval_episodes": 2, "save_every": 20, "keep": 9}


@pytest.fixture(autouse=True)
def folder_of_data(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "data"))


@pytest.fixture
def data():
    """A data set of random swings; returns its folder."""
    env, rng, episodes = gymnasium.make(OURS, horizon=30), np.random.default_rng(0), []
    for seed in range(4):
        obs, _ = env.reset(seed=seed)
        seen, actions, rewards = [obs], [], []
        for _ in range(30):
            actions.append(rng.uniform(-1, 1, 1).astype(np.float32))
            obs, reward, *_ = env.step(actions[-1])
            seen, rewards = [*seen, obs], [*rewards, reward]
        columns = {"observations": np.stack(seen), "actions": np.stack(actions), "rewards": np.array(rewards)}
        episodes.append(Episode(**columns, terminated=False, truncated=True, seed=seed))
    return write_dataset(DATA, episodes, about_env(OURS))


def setup_of(agent, env=OURS, run=(), learner=(), **given):
    agent_config = {"learner": SMALL | dict(learner)} | given.pop("agent_config", {})
    return assemble.complete({"agent": agent, "env": env, "agent_config": agent_config, "run": RUN | dict(run)} | given)


def trained(setup, folder, **options):
    return train(to_learn.build(setup), setup.run, folder, config=setup.to_plain(), **options)


def pretrained(folder, agent="calql", **run):
    agent_config = {"updates_per_iteration": 5}
    run = {"total_timesteps": 10, "log_every": 5, "eval_every": 10, "save_every": 10} | run
    return trained(setup_of(agent, dataset=DATA, agent_config=agent_config, run=run), folder)


def slow(*values, id=None):
    """Parameters of a test that takes the way of others with other settings."""
    return pytest.param(*values, marks=pytest.mark.slow, id=id)


@pytest.mark.parametrize("agent", ["bc", "iql", "calql_ensemble", *map(slow, ("cql", "calql", "cql_ensemble"))])
def test_every_offline_agent_learns_from_a_data_set_and_is_evaluated(agent, data, tmp_path):
    before = setup_of(agent, dataset=DATA)
    fresh = to_learn.build(before).init(jax.random.key(0))
    result = pretrained(tmp_path / "run", agent)
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows] == [5, 10]
    assert all(row["env_steps"] == 0 for row in rows)
    assert np.isfinite(rows[-1]["train/actor_loss"])
    assert len(read_rows(tmp_path / "run" / "evals.jsonl")) == 1
    assert int(result.state.updates) == 10
    assert bits(result.state.learned) != bits(fresh.learned)


@pytest.mark.parametrize(
    ("env", "stop"),
    [(OURS, 20), (THEIRS, 80), slow(OURS, 80), slow(THEIRS, 20)],  # in the warm-up, and after it
)
def test_wsrl_stopped_and_resumed_ends_with_the_same_bits(env, stop, tmp_path):
    setup = setup_of("wsrl", env, {"total_timesteps": 120}, {"num_critics": 2}, agent_config=ONLINE)
    whole = trained(setup, tmp_path / "whole")
    trained(setup, tmp_path / "parts", callbacks=[StopAt(stop)])
    parts = trained(setup, tmp_path / "parts", resume="must")
    assert bits(whole.state) == bits(parts.state)
    ours, theirs = (read_episodes(tmp_path / name) for name in ("whole", "parts"))
    assert {k: v.tolist() for k, v in ours.items()} == {k: v.tolist() for k, v in theirs.items()}


@pytest.mark.parametrize("env", [THEIRS, slow(OURS)])
def test_nothing_is_learned_during_warm_up_and_something_after(env, tmp_path):
    setup = setup_of("wsrl", env, learner={"num_critics": 2}, agent_config=ONLINE)
    short = dataclasses.replace(setup, run=dataclasses.replace(setup.run, total_timesteps=40))
    first = to_learn.build(setup).init(jax.random.key(0)).learned
    assert bits(trained(short, tmp_path / "short").state.learned) == bits(first)
    rows = read_rows(tmp_path / "short" / "metrics.jsonl")
    assert all(row["train/updates_sum"] == 0 and "train/critic_loss" not in row for row in rows)
    assert bits(trained(setup, tmp_path / "long").state.learned) != bits(first)
    rows = read_rows(tmp_path / "long" / "metrics.jsonl")
    assert [row["train/updates_sum"] for row in rows] == [0, 0, 20, 20, 20, 20]


def test_a_run_goes_on_after_data_and_earlier_run_are_deleted(data, tmp_path):
    pretrained(tmp_path / "offline", "calql_ensemble")
    setup = setup_of("wsrl", start_from=str(tmp_path / "offline"), agent_config=ONLINE)
    assert setup.agent_config["learner"]["num_critics"] == 10
    assert setup.run.eval_first
    whole = trained(setup, tmp_path / "whole")
    trained(setup, tmp_path / "parts", callbacks=[StopAt(20)])
    shutil.rmtree(tmp_path / "offline")
    shutil.rmtree(data)
    setup = assemble.read_setup(tmp_path / "parts")
    parts = trained(setup, tmp_path / "parts", resume="must")
    assert bits(whole.state) == bits(parts.state)


def test_the_first_evaluation_of_a_run_is_of_what_it_begins_from(data, tmp_path):
    before = pretrained(tmp_path / "offline", "calql_ensemble")
    setup = setup_of("wsrl", start_from=str(tmp_path / "offline"), agent_config=ONLINE)
    trained(setup, tmp_path / "run", callbacks=[StopAt(20)])
    first, last = read_rows(tmp_path / "run" / "evals.jsonl")[0], before.metrics[0]
    assert first["step"] == 0
    assert first["eval/mean_reward"] == pytest.approx(last["eval/mean_reward"], rel=1e-5)


def test_seeds_begin_from_the_learner_of_their_own(data, tmp_path):
    before = pretrained(tmp_path / "offline", "iql", num_seeds=2)
    assert before.state.learned.params["actor"]["params"]["mean"]["bias"].shape == (2, 1)
    given = {"start_from": str(tmp_path / "offline"), "agent_config": ONLINE}
    setup = setup_of("wsrl", run={"num_seeds": 2}, learner={"num_critics": 2}, **given)
    start = to_learn.build(setup).start()
    assert bits(start) == bits(before.state.learned)
    with pytest.raises(InputFileError, match="'2 learners'; expected 1"):
        to_learn.build(setup_of("wsrl", learner={"num_critics": 2}, **given)).start()


@pytest.mark.parametrize("retain", ["mixed", slow("append")])
def test_offline_data_can_be_retained(retain, data, tmp_path):
    config = ONLINE | {"retain": retain}
    result = trained(setup_of("rlpd", dataset=DATA, learner={"num_critics": 2}, agent_config=config), tmp_path / "run")
    assert result.status == "finished"


def test_several_foreign_environments_count_transitions(tmp_path):
    setup = setup_of("sac", THEIRS, agent_config=ONLINE | {"num_envs": 3, "start_every": 10, "updates_per_step": 3})
    rows = trained(setup, tmp_path / "run") and read_rows(tmp_path / "run" / "metrics.jsonl")
    assert rows[-1]["step"] == rows[-1]["env_steps"] == 120
    assert sum(row["train/updates_sum"] for row in rows) == 3 * sum(step > 40 for step in range(3, 121, 3))


def test_what_cannot_be_is_refused_before_anything_runs(data, tmp_path):
    for error, given in (
        ("no data set given", {"agent": "bc"}),
        ("data set without a use", {"agent": "sac", "dataset": DATA}),
        ("nothing to begin from", {"agent": "bc", "dataset": DATA, "start_from": "somewhere"}),
        ("is not ours: --agent; got 'ppo'", {"agent": "ppo", "env": THEIRS}),
        ("is not ours: --teacher; got 'random'", {"agent": "sac", "env": THEIRS, "teacher": "random"}),
        ("unknown environment", {"agent": "sac", "env": "Pendulum-v77"}),
    ):
        with pytest.raises(UsageError, match=error):
            assemble.complete({"env": OURS} | given)
    with pytest.raises(InputFileError, match="observation_space"):
        to_learn.build(setup_of("bc", "palaestra/BipedalWalker-v0", dataset=DATA))


def test_the_command_line_trains_evaluates_and_films(palaestra, data, tmp_path):
    run, small = str(tmp_path / "run"), ["--set", "learner.nets.actor=[8]", "--set", "learner.nets.critic=[8]"]
    words = [
        "train",
        "--agent",
        "bc",
        "--dataset",
        DATA,
        "--env",
        OURS,
        "-n",
        "200",
        "--run-dir",
        run,
        *small,
        "--json",
    ]
    code, out, _ = palaestra(*words)
    assert code == 0
    assert json.loads(out)["result"]["steps"] == 200
    assert assemble.read_setup(tmp_path / "run").env == OURS  # that of the data
    assert palaestra("eval", run, "--episodes", "2", "--json")[0] == 0
    assert palaestra("record", run, "--out", str(tmp_path / "film.gif"), "--max-steps", "3")[0] == 0
    missing = palaestra("train", "--agent", "wsrl", "--start-from", str(tmp_path / "no"), "--env", OURS)
    assert missing[0] == 4


def test_a_policy_in_a_gymnasium_environment_is_evaluated_and_filmed(palaestra, tmp_path):
    run = tmp_path / "run"
    trained(setup_of("sac", THEIRS, agent_config=ONLINE), run)
    code, out, _ = palaestra("eval", str(run), "--episodes", "3", "--json")
    assert code == 0
    assert np.shape(json.loads(out)["result"]["returns"]) == (1, 3)
    assert palaestra("record", str(run), "--out", str(tmp_path / "film.gif"), "--max-steps", "3")[0] == 0


class Moody(gymnasium.Env):
    """One that does not repeat what it did under the same seed and actions."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    draws = np.random.default_rng(0)

    def reset(self, *, seed=None, options=None):
        return self.draws.normal(size=1), {}

    def step(self, action):
        return self.draws.normal(size=1), 0.0, False, False, {}


def test_an_environment_that_does_not_repeat_itself_goes_on_with_a_new_episode_and_a_warning(tmp_path, monkeypatch):
    monkeypatch.setitem(gymnasium.registry, "Moody-v0", gymnasium.spec("Pendulum-v1").__class__("Moody-v0", Moody))
    setup = setup_of("sac", "Moody-v0", env_kwargs={"max_episode_steps": 30}, agent_config=ONLINE)
    trained(setup, tmp_path / "run", callbacks=[StopAt(20)])
    with pytest.warns(UserWarning, match="does not repeat its episodes: 1 of 1"):
        result = trained(setup, tmp_path / "run", resume="must")
    assert result.steps == 120
    assert int(np.asarray(result.state.tape.episode)[0]) == 1 + (120 - 20) // 30
