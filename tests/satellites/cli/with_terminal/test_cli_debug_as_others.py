"""What holds of every command holds of `debug`."""

import pytest
import test_cli_inspect
import test_first_commands

model = test_cli_inspect.model


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["debug", "nowhere.trace"], 2, ['no file "nowhere.trace"']),
        (["debug", "nowhere"], 2, ['"nowhere" is not a target', "the file of a trace"]),
        (["debug", "feed.npz"], 1, ["feed.npz", "is not a graphnn file"]),
        (["debug", "model.py:fed", "-x", "nowhere"], 2, ['no file "nowhere"']),
        (["debug", "model.py:build", "-x", "script"], 1, ["feed lacks", '"x"']),
        (["debug", "model.py:fed", "--at", "scan_1@2"], 2, ["no node", '"scan_1@2"']),
        (["debug", "model.py:fed", "--at", "exp"], 2, ["the name of an iteration", "'exp'"]),
        (["debug", "model.py:build", "--at", "scan_1@2", "-x", "script"], 1, ["feed lacks", '"x"', "--feed"]),
    ],
)
def test_what_goes_wrong_is_said(model, capsys, arguments, code, words):
    test_cli_inspect.test_what_goes_wrong_is_said(model, capsys, arguments, code, words)


def test_its_help_fits_a_screen(capsys, monkeypatch):
    test_cli_inspect.test_the_help_of_each_verb_fits_a_screen(capsys, monkeypatch, "debug")


def test_it_has_help_and_json(capsys):
    test_cli_inspect.test_each_verb_has_help_and_json(capsys, "debug")


@pytest.mark.parametrize("colon", ["", ":"])
def test_a_file_alone_offers_the_functions_in_it(tmp_path, monkeypatch, capsys, colon):
    test_first_commands.test_a_file_alone_offers_the_functions_in_it(tmp_path, monkeypatch, capsys, "debug", colon)
