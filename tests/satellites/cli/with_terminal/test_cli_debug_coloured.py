"""The colours and the width of what `debug` says."""

import test_cli_colours

model, on_a_terminal, piped = test_cli_colours.model, test_cli_colours.on_a_terminal, test_cli_colours.piped
DEBUG = ["debug", "model.py:build", "-x", "verbs"]


def test_what_is_wrong_has_its_colour_on_a_terminal(on_a_terminal):
    wrong = r"\x1b\[1;38;5;196merror:\x1b\[0m there is no verb"
    test_cli_colours.test_what_is_wrong_has_its_colour_on_a_terminal(on_a_terminal, DEBUG, wrong)


def test_there_are_no_colours_in_a_pipe(piped):
    assert "\x1b" not in piped(*DEBUG)


def test_a_table_has_the_width_of_the_terminal_and_in_a_pipe_whole_names(on_a_terminal, piped):
    test_cli_colours.has_the_width(on_a_terminal, piped, DEBUG)
