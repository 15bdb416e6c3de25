"""The run folder: names, the lock, what may be touched, and secrets that must not be written."""

import json
import pathlib
import re
import subprocess
import sys

import pytest
from palaestra.experiments.errors import InputFileError, ResourceError, RunFolderError, UsageError
from palaestra.experiments.redaction import redact, redact_arguments
from palaestra.experiments.run_folder import check_name, new_path, open_run, read_run


def made(path):
    with open_run(path, resume="never") as folder:
        folder.update(status="finished")
    return path


def test_a_new_run_gets_a_speaking_path(tmp_path):
    path = new_path(tmp_path, "palaestra/Walker-v0", "ppo", "alp_gmm", "try", 3)
    assert path.parent == tmp_path / "Walker-v0" / "ppo+alp_gmm"
    assert re.fullmatch(r"\d{8}-\d{6}-try-s3-[0-9a-f]{6}", path.name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "x" * 81, "ü", "a\n", "$(x)"])
def test_bad_names_are_refused(name):
    with pytest.raises(UsageError, match="--name"):
        check_name(name)


def test_the_status_file_says_what_happened(tmp_path):
    run = read_run(made(tmp_path / "run"))
    assert run["status"] == "finished"
    assert {"pid", "host", "start", "end", "git_commit", "versions", "device", "command", "last_good_step"} <= set(run)


def test_only_one_process_may_write(tmp_path):
    """R6."""
    code = (
        "import pathlib, sys\n"
        "from palaestra.experiments.run_folder import open_run\n"
        "with open_run(pathlib.Path(sys.argv[1]), resume='auto'):\n"
        "    print('mine', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"mine\n"
        before = sorted(p.name for p in (tmp_path / "run").iterdir())
        with pytest.raises(RunFolderError, match="busy"), open_run(tmp_path / "run", resume="auto"):
            pass
        assert sorted(p.name for p in (tmp_path / "run").iterdir()) == before
    finally:
        holder.communicate()
    with open_run(tmp_path / "run", resume="auto"):
        pass


def test_existing_missing_and_foreign_folders_are_told_apart(tmp_path):
    made(tmp_path / "run")
    with pytest.raises(RunFolderError, match="exists"), open_run(tmp_path / "run", resume="never"):
        pass
    with pytest.raises(InputFileError, match="not a run"), open_run(tmp_path / "none", resume="must"):
        pass
    assert not (tmp_path / "none").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with (
            pytest.raises(RunFolderError, match=r"thesis\.tex"),
            open_run(tmp_path / "mine", resume="never", overwrite=overwrite),
        ):
            pass
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_overwriting_deletes_a_run_and_nothing_else(tmp_path):
    path = made(tmp_path / "run")
    (path / "checkpoints" / "step_1").mkdir(parents=True)
    (path / "notes.txt").write_text("mine")
    with open_run(path, resume="never", overwrite=True) as folder:
        assert folder.run["status"] == "created"
    assert not (path / "checkpoints").exists()
    assert (path / "notes.txt").read_text() == "mine"


def test_places_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="not a folder"), open_run(tmp_path / "file", resume="never"):
        pass
    for nowhere in (tmp_path / "file" / "run", pathlib.Path("/proc/nowhere")):
        with pytest.raises((RunFolderError, ResourceError), match=r"file|nowhere"), open_run(nowhere, resume="never"):
            pass


@pytest.mark.parametrize(("text", "match"), [("{", "damaged"), ("[]", "damaged"), ('{"schema": 99}', r"99.*at most 1")])
def test_unreadable_status_files_are_refused(tmp_path, text, match):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputFileError, match=match):
        read_run(tmp_path)


CANARIES = ["sk-abcdefgh12345678", "hf_abcdefgh12345678", "ghp_abcdefgh1234567890"]


@pytest.mark.parametrize("canary", CANARIES)
def test_secrets_are_masked_wherever_they_stand(canary):
    for text in (canary, f"--key={canary}", f"Authorization: Bearer {canary}", f"https://me:{canary}@host/x"):
        assert canary not in redact(text)


def test_values_of_key_variables_are_masked_and_ordinary_words_are_not():
    environment = {"MY_API_KEY": "plain-looking-value", "HOME": "/home/me", "SHORT_TOKEN": "on"}
    assert redact("x plain-looking-value on /home/me", environment) == "x *** on /home/me"
    assert redact("num_tokens=5 loss=0.1") == "num_tokens=5 loss=0.1"


def test_command_lines_are_kept_without_secrets():
    words = ["palaestra", "train", "--api-key", "abc", "--password=xyz", "--seed", "3"]
    assert redact_arguments(words) == ["palaestra", "train", "--api-key", "***", "--password=***", "--seed", "3"]


def test_events_are_redacted_single_lines(tmp_path):
    with open_run(tmp_path / "run", resume="never") as folder:
        folder.event("error", f"two\nlines {CANARIES[0]}", value=1)
    text = (tmp_path / "run" / "events.log").read_text()
    assert text.count("\n") == 1
    assert CANARIES[0] not in text
    assert json.loads(text[text.index("{") :]) == {"value": 1}
