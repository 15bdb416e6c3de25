"""From levels to questions, from answers to plans, teachers and their accuracy."""

import dataclasses
import http.server
import json
import threading

import jax
import numpy as np
import pytest
from palaestra.envs.minigrid import cells
from palaestra.envs.minigrid.subgoals.build import make_subgoals
from palaestra.envs.minigrid.subgoals.errors import ErrorModel
from palaestra.envs.minigrid.subgoals.level_text import parse
from palaestra.experiments import cli
from palaestra.experiments.errors import InputFileError
from palaestra.experiments.subgoal_collection import CollectConfig, collect, measure
from palaestra.experiments.subgoal_plans import LevelPlan, exact_plans, load_plans, save_plans

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
            found[kind] = {"text": f"the {kind}", "object": kind, "color": color, "x": int(x), "y": int(y)}
    return {"subgoals": [found[kind] for kind in ORDER]}


@pytest.fixture
def model_server():
    """A model on this machine; `answer` maps the last question to what it says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append(body)
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
    server.asked, server.answer = [], exact_answer
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
    ],
)
def test_bad_questions_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CollectConfig(env=NAME, **options)


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


def test_a_person_fills_in_a_template(tmp_path, capsys):
    out = tmp_path / "plans.json"
    assert cli.main(["subgoals", "template", "--env", NAME, "--count", "2", "--out", str(out)]) == 0
    told = json.loads(out.read_text())
    for entry in told["plans"]:
        entry["subgoals"] = exact_answer("\n".join(entry["level"]))["subgoals"]
    out.write_text(json.dumps(told))
    assert measure(load_plans(out))[1].positional == 1.0
    assert load_plans(out).teacher == "a person"


@pytest.mark.parametrize("words", [["guess"], ["collect", "--colour", "red"], ["show", "--file", "none.json"]])
def test_bad_commands_say_what_is_wrong(words, capsys):
    assert cli.main(["subgoals", *words]) in (2, 4)
    assert capsys.readouterr().err.startswith("palaestra: ")


def test_plans_of_a_family_without_a_scheme_come_from_the_planner():
    plans = exact_plans("MiniGrid-FourRooms-v0", [0])
    assert plans.plans[0].subgoals[-1].object == "goal"
    assert isinstance(plans.plans[0], LevelPlan)
