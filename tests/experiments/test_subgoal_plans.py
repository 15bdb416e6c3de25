"""From levels to questions, from answers to plans, teachers and their accuracy."""

import contextlib
import dataclasses
import functools
import http.server
import json
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.curricula.llm import Client
from palaestra.curricula.llm.errors import ServerError
from palaestra.curricula.llm.limits import Timing
from palaestra.envs.errors import OptionError
from palaestra.envs.minigrid import cells, planner
from palaestra.envs.minigrid.subgoals.build import make_subgoals
from palaestra.envs.minigrid.subgoals.errors import ErrorModel
from palaestra.envs.minigrid.subgoals.level_text import parse
from palaestra.envs.minigrid.subgoals.texts import TEXTS
from palaestra.experiments import cli, subgoal_collection, subgoal_plans
from palaestra.experiments.errors import ExitCode, InputFileError
from palaestra.experiments.subgoal_collection import CollectConfig, collect, measure
from palaestra.experiments.subgoal_plans import LevelPlan, exact_plans, levels_of, load_plans, save_plans

NAME = "MiniGrid-KeyCorridorS3R2-v0"
ORDER = ("key", "door", "ball")


def exact_answer(question):
    """What a perfect model says about a level in words."""
    level = parse(question)
    found = {}
    for y, x in np.argwhere(cells.kind(level.grid) > cells.FLOOR_KIND):
        word = level.grid[y, x]
        kind = cells.KINDS[int(cells.kind(word))]
        if kind in ORDER and (kind != "door" or cells.state(word) == cells.LOCKED):
            color = cells.COLORS[int(cells.color(word))]
            place = {"x": int(x), "y": int(y), "confidence": None}
            found[kind] = {"text": f"the {kind}", "object": kind, "color": color, **place}
    return {"subgoals": [found[kind] for kind in ORDER]}


@pytest.fixture
def model_server():
    """A model on this machine; `answer` maps the last question to what it says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append(body)
            if server.status != 200:
                return self.send_error(server.status, "no")
            said = json.dumps(server.answer(body["messages"][1 if len(body["messages"]) == 2 else -1]["content"]))
            reply = {"choices": [{"message": {"content": said}, "finish_reason": "stop"}], "usage": {}}
            data = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.answer, server.status = [], exact_answer, 200
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield server
    server.shutdown()
    thread.join()


def config_for(server, tmp_path, **changes):
    return CollectConfig(
        env=NAME, out=str(tmp_path / "plans.json"), count=6, base_url=server.url, model="scripted", **changes
    )


def test_a_perfect_model_gives_the_exact_plans(model_server, tmp_path):
    plans, usage = collect(config_for(model_server, tmp_path))
    exact = exact_plans(NAME, range(6))
    assert [[(s.x, s.y) for s in p.subgoals] for p in plans.plans] == [
        [(s.x, s.y) for s in p.subgoals] for p in exact.plans
    ]
    assert usage["requests"] == len(model_server.asked) == 6 and usage["invalid"] == 0
    found, model = measure(plans)
    assert model == ErrorModel(1.0, 0.0, 0.0, 1.0) and found.missing == 0


def test_nothing_is_asked_twice(model_server, tmp_path):
    collect(config_for(model_server, tmp_path))
    again, usage = collect(dataclasses.replace(config_for(model_server, tmp_path), offline=True))
    assert len(model_server.asked) == 6 and usage["hits"] == 6 and len(again.plans) == 6


def test_examples_are_of_other_levels(model_server, tmp_path):
    model_server.answer = lambda question: exact_answer(question)
    collect(config_for(model_server, tmp_path, examples=2))
    turns = model_server.asked[0]["messages"]
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user", "assistant", "user"]
    questions = {asked["messages"][-1]["content"] for asked in model_server.asked}
    assert not questions & {turn["content"] for turn in turns[1:-1]}


def test_a_larger_count_asks_about_the_further_levels_alone(model_server, tmp_path):
    config = config_for(model_server, tmp_path, examples=2)
    collect(dataclasses.replace(config, count=2))
    _, usage = collect(config)
    assert (usage["hits"], usage["requests"]) == (2, 4) and len(model_server.asked) == 6
    assert len({str(asked["messages"][1:5]) for asked in model_server.asked}) == 1


def test_examples_are_made_once(model_server, tmp_path, monkeypatch):
    made = []

    def exact(name, seeds):
        made.append(list(seeds))
        return exact_plans(name, seeds)

    monkeypatch.setattr(subgoal_collection, "exact_plans", exact)
    collect(config_for(model_server, tmp_path, examples=2))
    assert made == [[1_000_000, 1_000_001]]


def test_levels_are_taken_apart_once_and_their_words_read_at_once(monkeypatch):
    calls = []

    def counted(name):
        found = getattr(subgoal_collection if name == "text_number" else subgoal_plans, name)

        def call(*args):
            calls.append(name)
            return found(*args)

        return call

    monkeypatch.setattr(subgoal_plans, "levels_of", counted("levels_of"))
    plans = exact_plans(NAME, range(4))
    assert calls == ["levels_of"]
    monkeypatch.setattr(subgoal_collection, "text_number", counted("text_number"))
    found, _ = measure(plans)
    assert calls.count("text_number") == 1
    names = [TEXTS.index("key"), TEXTS.index("locked door")]
    assert [found.confusion[i][i] for i in names] == [4, 4] and sum(map(sum, found.confusion)) == 12


@pytest.mark.parametrize("seed", [None, 5])
def test_the_sampling_seed_is_sent_or_left_out(seed, model_server, tmp_path):
    collect(config_for(model_server, tmp_path, seed=seed))
    assert {asked.get("seed", None) for asked in model_server.asked} == {seed}
    assert all(("seed" in asked) == (seed is not None) for asked in model_server.asked)


def test_settings_are_checked_before_levels_are_read_and_a_server_starts(tmp_path, monkeypatch):
    for name in ("import_bank", "serve"):
        monkeypatch.setattr(subgoal_collection, name, lambda *args: pytest.fail("began before it had checked"))
    with pytest.raises(OptionError, match="temperature; got -1"):
        collect(CollectConfig(env=NAME, out=str(tmp_path / "plans.json"), local=True, temperature=-1.0))


def test_the_local_model_is_asked_where_it_listens(model_server, tmp_path, monkeypatch):
    @contextlib.contextmanager
    def serve():
        yield model_server.url

    monkeypatch.setattr(subgoal_collection, "serve", serve)
    config = CollectConfig(env=NAME, out=str(tmp_path / "deep" / "plans.json"), count=1, local=True)
    assert collect(config)[0].teacher == "SmolLM2-135M-Instruct"
    again, usage = collect(dataclasses.replace(config, offline=True))
    assert usage["hits"] == 1 and len(model_server.asked) == 1 and len(again.plans[0].subgoals) == 3


def test_a_plan_that_was_cut_helps_to_its_end(model_server, tmp_path):
    """Strict: the third subgoal is wrong, so that the second, the door, is no longer one before the task itself."""

    def astray(question):
        if question.startswith("This answer"):
            question = model_server.asked[-1]["messages"][1]["content"]
        answer = exact_answer(question)
        answer["subgoals"][2]["object"] = "key"
        return answer

    model_server.answer = astray
    strict, _ = collect(config_for(model_server, tmp_path, strict=True))
    loose, _ = collect(config_for(model_server, tmp_path))
    assert {len(plan.subgoals) for plan in strict.plans} == {2} and not any(p.complete for p in strict.plans)
    assert {len(plan.subgoals) for plan in loose.plans} == {3} and all(p.complete for p in loose.plans)
    save_plans(tmp_path / "plans.json", strict)
    for plans in (strict, load_plans(tmp_path / "plans.json"), loose):
        env = make_subgoals(NAME, guide=plans.guide("positional"))
        state = env.initial(jax.random.key(0), env.task_params(env.task_space.from_dict({"level": 0})))
        state = state.replace(index=jnp.int32(1))
        assert np.asarray(env.observation(state, jax.random.key(0))["subgoal"]).any()
        door = plans.plans[0].subgoals[1]
        level = state.base.level.replace(x=jnp.int32(door.x), y=jnp.int32(door.y))
        after = env.transition(state.replace(base=state.base.replace(level=level)), jnp.int32(6), jax.random.key(0))
        assert bool(after.completed) and float(after.reward) > 0.19
        assert not np.asarray(env.observation(after, jax.random.key(0))["subgoal"]).any()


def test_a_model_that_errs_becomes_a_teacher_that_errs_as_often(model_server, tmp_path):
    """Every key one cell to the left: wrong cells, the right objects, and never a subgoal that is left out."""

    def astray(question):
        if question.startswith("This answer"):
            question = model_server.asked[-1]["messages"][1]["content"]
        answer = exact_answer(question)
        answer["subgoals"][0]["x"] -= 1
        return answer

    model_server.answer = astray
    plans, usage = collect(config_for(model_server, tmp_path))
    assert usage["invalid"] == 6 and all(plan.mistakes for plan in plans.plans)
    found, model = measure(plans)
    assert model.positional == pytest.approx(2 / 3) and model.by_object == 1.0
    assert model.mean == pytest.approx(1 / 3) and found.position_by_order[0].successes == 0
    strict, _ = collect(dataclasses.replace(config_for(model_server, tmp_path), strict=True))
    assert all(plan.subgoals == () for plan in strict.plans)
    env = make_subgoals(NAME, levels=6, teacher=model)
    assert env.task_space.default[env.task_space.index("accuracy")] == pytest.approx(2 / 3)


def test_plans_guide_an_environment(tmp_path):
    path = tmp_path / "plans.json"
    exact = exact_plans(NAME, [4, 9])
    changed = dataclasses.replace(exact.plans[1], subgoals=exact.plans[1].subgoals[::-1])
    save_plans(path, dataclasses.replace(exact, plans=(exact.plans[0], changed)))
    env = make_subgoals(NAME, guide=load_plans(path).guide("positional"))
    space = env.task_space
    for i, plan in enumerate((exact.plans[0], changed)):
        state = env.initial(jax.random.key(0), env.task_params(space.from_dict({"level": i})))
        assert (int(state.chain.x[0]), int(state.chain.y[0])) == (plan.subgoals[0].x, plan.subgoals[0].y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(
            ({"plans": [{"seed": 7, field: value}]}, f"seed 7, {field}; got {value!r}; expected a list")
            for field in ("subgoals", "mistakes")
            for value in (None, 0, 5, "", "x")
        ),
        ({"plans": [{"seed": 7, "complete": "no"}]}, "seed 7, complete; got 'no'; expected true or false"),
        ({"format": 2}, "format; got 2; expected 1"),
        ({"plans": []}, "at least one plan"),
        ({"plans": [{"seed": "x"}]}, r"plans\[0\].seed; got 'x'"),
        ({"plans": [{"seed": 1}, {"seed": 1}]}, r"plans\[1\].seed; got 1"),
        ({"plans": [{"seed": 1, "subgoals": [{"object": "key", "x": 0, "y": 0}]}]}, "seed 1; got .*there is no key"),
    ],
)
def test_bad_files_are_refused(change, message, tmp_path):
    path = tmp_path / "plans.json"
    save_plans(path, exact_plans(NAME, [0]))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputFileError, match=message):
        load_plans(path)


def test_no_file_and_no_json_are_refused(tmp_path):
    with pytest.raises(InputFileError, match=r"none\.json"):
        load_plans(tmp_path / "none.json")
    (tmp_path / "plans.json").write_text("{")
    with pytest.raises(InputFileError, match="bad plans"):
        load_plans(tmp_path / "plans.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected one of them"),
        ({"local": True, "base_url": "http://x/v1"}, "expected one of them"),
        ({"base_url": "http://x/v1"}, "model=''"),
        ({"local": True, "count": 0}, "count=0"),
        (
            {"local": True, "first": 999_998, "count": 3, "examples": 1},
            "expected other seeds than those of the examples",
        ),
        ({"local": True, "first": 1_000_001, "examples": 2}, "1000000 to 1000001"),
    ],
)
def test_bad_questions_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CollectConfig(env=NAME, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"first": 999_998, "count": 3},
        {"first": 999_998, "count": 2, "examples": 1},
        {"first": 1_000_002, "examples": 2},
    ],
)
def test_levels_beside_those_of_the_examples_may_be_asked_about(options):
    CollectConfig(env=NAME, local=True, **options)


def test_an_address_that_was_not_looked_at_is_not_shown():
    with pytest.raises(ValueError, match="expected one of them") as caught:
        CollectConfig(local=True, base_url="https://user:canary@host/v1")
    assert "canary" not in str(caught.value)


def test_the_command_collects_shows_and_calibrates(model_server, tmp_path, capsys):
    out = str(tmp_path / "plans.json")
    words = ["--env", NAME, "--count", "3", "--base-url", model_server.url, "--model", "scripted", "--out", out]
    assert cli.main(["subgoals", "collect", *words]) == 0
    assert "3 levels, 3 answers valid throughout, 9 subgoals kept" in capsys.readouterr().out
    assert cli.main(["subgoals", "show", "--file", out]) == 0
    assert "key (" in capsys.readouterr().out
    assert cli.main(["subgoals", "calibrate", "--file", out, "--out", str(tmp_path / "errors.json"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["result"]
    assert told["errors"] == {"positional": 1.0, "mean": 0.0, "deviation": 0.0, "by_object": 1.0}
    assert json.loads((tmp_path / "errors.json").read_text())["errors"] == told["errors"]


@pytest.mark.parametrize("status", [403, 500, None])
def test_a_server_that_gives_no_answer_is_no_bug_of_ours(status, model_server, tmp_path, monkeypatch, capsys):
    """A refusal, a fault that lasts, and a server that is not there."""

    async def at_once(seconds):
        pass

    monkeypatch.setattr(subgoal_collection, "Client", functools.partial(Client, timing=Timing(sleep=at_once)))
    if status is None:
        model_server.shutdown()
        model_server.server_close()
    else:
        model_server.status = status
    out = tmp_path / "plans.json"
    words = ["--env", NAME, "--count", "1", "--base-url", model_server.url, "--model", "scripted", "--out", str(out)]
    assert cli.main(["subgoals", "collect", *words, "--json"]) == ServerError.code == ExitCode.SERVICE
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["code"] == 8 and said.err.startswith("palaestra: model server: ")
    assert "internal error" not in said.err and not out.exists()


def test_a_key_that_is_not_there_is_a_setting(model_server, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("TEST_MODEL_KEY", raising=False)
    words = ["--base-url", model_server.url, "--model", "m", "--api-key-env", "TEST_MODEL_KEY", "--count", "1"]
    assert cli.main(["subgoals", "collect", "--env", NAME, *words, "--out", str(tmp_path / "plans.json")]) == 2
    assert "TEST_MODEL_KEY" in capsys.readouterr().err


def test_a_key_among_the_words_is_not_told_back(capsys):
    assert cli.main(["subgoals", "collect", "--sk-canary123456789", "x", "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["key"] == "--***"
    assert "canary" not in said.out + said.err


@pytest.mark.parametrize("action", ["collect", "template"])
def test_plans_that_are_there_are_not_replaced_unasked(action, model_server, tmp_path, capsys):
    out = tmp_path / "plans.json"
    out.write_text("a person's work")
    words = ["subgoals", action, "--env", NAME, "--count", "1", "--out", str(out)]
    if action == "collect":
        words += ["--base-url", model_server.url, "--model", "scripted"]
    assert cli.main(words) == 5
    said = capsys.readouterr().err
    assert str(out) in said and "--overwrite" in said
    assert out.read_text() == "a person's work" and model_server.asked == []
    assert cli.main([*words, "--overwrite"]) == 0
    assert len(load_plans(out).plans) == 1


def test_a_switch_may_stand_alone_or_say_what_it_is(model_server, tmp_path):
    words = [
        "subgoals",
        "collect",
        "--env",
        NAME,
        "--count",
        "1",
        "--base-url",
        model_server.url,
        "--model",
        "scripted",
    ]
    out = tmp_path / "plans.json"
    for number, more in enumerate(
        (["--strict"], ["--strict", "true"], ["--strict=true"], ["--strict", "false"], ["--offline", "--strict"])
    ):
        assert cli.main([*words, *more, "--overwrite", "--out", str(out)]) == 0, number
    assert cli.main([*words, "--strict", "maybe", "--out", str(out)]) == 2


def test_a_person_fills_in_a_template(tmp_path, capsys):
    out = tmp_path / "plans.json"
    assert cli.main(["subgoals", "template", "--env", NAME, "--count", "2", "--out", str(out)]) == 0
    told = json.loads(out.read_text())
    for entry in told["plans"]:
        entry["subgoals"] = exact_answer("\n".join(entry["level"]))["subgoals"]
    out.write_text(json.dumps(told))
    assert measure(load_plans(out))[1].positional == 1.0
    assert load_plans(out).teacher == "a person"


@pytest.mark.parametrize(
    "words",
    [
        ["guess"],
        ["collect", "--colour", "red"],
        ["show", "--file", "none.json"],
        ["template", "--first", "-1"],
        ["template", "--count", "0"],
    ],
)
def test_bad_commands_say_what_is_wrong(words, capsys):
    assert cli.main(["subgoals", *words]) in (2, 4)
    assert capsys.readouterr().err.startswith("palaestra: ")


def test_a_flag_without_a_use_is_refused(tmp_path, capsys):
    save_plans(tmp_path / "plans.json", exact_plans(NAME, [0]))
    words = ["subgoals", "show", "--file", str(tmp_path / "plans.json")]
    assert cli.main(words) == 0
    assert cli.main([*words, "--out", str(tmp_path / "x.json")]) == 2
    assert "unknown flag: '--out'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["MiniGrid-FourRooms-v0", "MiniGrid-PutNear-6x6-N2-v0", "BabyAI-BossLevel-v0"])
def test_exact_plans_name_objects_once_and_can_be_read_again(name, tmp_path, monkeypatch):
    """The planner also names openings, places to put something down, and an object that two clauses are about."""
    plan, steps = planner.plan, []

    def noted(level, rule):
        steps.append((level, plan(level, rule)))
        return steps[-1][1]

    monkeypatch.setattr(planner, "plan", noted)
    plans = exact_plans(name, range(6))
    save_plans(tmp_path / "plans.json", plans)
    assert load_plans(tmp_path / "plans.json") == plans
    for (level, _), expected in zip(steps, levels_of(plans.bank), strict=True):
        np.testing.assert_array_equal(level.grid, expected.grid)
    steps = [planned.subgoals for _, planned in steps]
    assert any(len(told) > len(plan.subgoals) for told, plan in zip(steps, plans.plans, strict=True))
    for told, plan in zip(steps, plans.plans, strict=True):
        places = [(s.x, s.y) for s in plan.subgoals]
        assert len(set(places)) == len(places) > 0 and "empty" not in {s.object for s in plan.subgoals}
        final = (told[-1].x, told[-1].y)
        earlier = [(s.x, s.y) for s in told[:-1]]
        assert plan.complete == (places[-1] == final and final not in earlier)
    chains = plans.guide("positional").chains
    assert chains.complete.tolist() == [plan.complete for plan in plans.plans]
    if name.startswith("MiniGrid-PutNear"):
        assert not any(plan.complete for plan in plans.plans)


def test_plans_of_a_family_without_a_scheme_come_from_the_planner():
    plans = exact_plans("MiniGrid-FourRooms-v0", [0])
    assert plans.plans[0].subgoals[-1].object == "goal"
    assert isinstance(plans.plans[0], LevelPlan)
