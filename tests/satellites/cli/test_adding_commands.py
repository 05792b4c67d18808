"""What the pages on adding things say of the command: a recipe is a command, an operation is in its table."""

from pathlib import Path

import test_adding
import test_adding_an_op
from template import Template

# As those in test_adding.py.
PLACES = {
    "size": (
        "cli/commands/size.py",
        """
        from graphnn.cli import main
        gn.save(gn.Graph(), "empty.gnn")
        assert main(["size", "empty.gnn"]) == 0
        import commands
        assert "## graphnn size" in commands.commands()
        """,
    ),
}
CLAIMS = {
    "command": """
        import contextlib, io, json
        from graphnn.cli import main
        with contextlib.redirect_stdout(io.StringIO()) as table:
            assert main(["ops"]) == 0
        lines = [line for line in table.getvalue().splitlines() if line.split()[:1] == ["softsign"]]
        assert len(lines) == 1 and "softsign(x)" in lines[0] and "x / (1 + |x|)" in lines[0], lines
        with contextlib.redirect_stdout(io.StringIO()) as data:
            assert main(["ops", "--json"]) == 0
        assert "softsign" in [row["name"] for row in json.loads(data.getvalue())]
    """,
}


def test_what_is_written_in_one_file_of_the_library_is_found(tmp_path: Path) -> None:
    library = test_adding.with_recipes(tmp_path, PLACES)
    assert not test_adding.wrong_in(library, PLACES)


def test_the_new_operation_is_in_the_table_of_the_command(tmp_path: Path, template: Template) -> None:
    assert not test_adding_an_op.wrong_in(tmp_path, template, CLAIMS)
