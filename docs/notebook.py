"""Run the notebooks of examples/ and keep what they show, so that a viewer of the repository shows it, too.

python docs/notebook.py

A notebook is written anew only if it shows something else than before, apart from how things are drawn and the last
digits. Frames are left out: they hold a whole replay page, and no viewer of a repository shows them.
"""

import html
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_TIME = re.compile(r"\d[\d.]*(?= ?(?:ns|µs|ms|s)\b)")
# The kernel itself is not held to it: it warns when it is shut down.
_STRICT = "import warnings\nwarnings.simplefilter('error')\nwarnings.filterwarnings('ignore', module='ipykernel')\n"


def made(path: Path) -> Any:
    """Return a notebook as it is once all its cells have run, with warnings as errors."""
    notebook = nbformat.read(path, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    source, first.source = first.source, _STRICT + first.source
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        settings = {"timeout": 60, "kernel_name": "python3", "record_timing": False, "coalesce_streams": True}
        NotebookClient(notebook, resources=resources, **settings).execute()
    first.source = source
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "<iframe" in output.get("data", {}).get("text/html", ""):
                del output.data["text/html"]
    return notebook


def told(notebook: Any) -> list[tuple[str, str, list[Any]]]:
    """Return what a notebook shows: for each output and format its words, and the numbers between them.

    Of a picture made of points there is only that it is there; of one made of shapes, what is written in it, in order.
    """
    found = []
    for place, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                found.append((f"{place} {output.name}", *_parted(output.text)))
            for kind, data in sorted(output.get("data", {}).items()):
                if kind == "image/svg+xml":
                    text, numbers = "\n".join(sorted(NUMBER.sub("#", said) for said in _written(data))), []
                else:
                    text, numbers = ("", []) if kind.startswith("image/") else _parted(re.sub("<[^>]*>", " ", data))
                found.append((f"{place} {kind}", text, numbers))
    return found


def _written(svg: str) -> list[str]:
    return [html.unescape(said) for said in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def _parted(text: str) -> tuple[str, list[float]]:
    text = re.sub(r"<Figure size [^>]*>|0x[0-9a-f]+", "", _TIME.sub("", text))
    return " ".join(NUMBER.sub("#", text).split()), [float(number) for number in NUMBER.findall(text)]


def differs(kept: Any, new: Any) -> str:
    """Return what is first shown otherwise, or nothing."""
    one, other = told(kept), told(new)
    if [each[0] for each in one] != [each[0] for each in other]:
        return f"what is shown: {[each[0] for each in one]}, now {[each[0] for each in other]}"
    for (where, text, numbers), (_, new_text, new_numbers) in zip(one, other, strict=True):
        if text != new_text:
            return f"{where}: {text!r}, now {new_text!r}"
        for number, new_number in zip(numbers, new_numbers, strict=True):
            if abs(number - new_number) > 1e-9 + 1e-2 * abs(number):
                return f"{where}: {number}, now {new_number}"
    return ""


def main() -> None:
    """Write the notebooks."""
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        new = made(path)
        if differs(nbformat.read(path, as_version=4), new):
            nbformat.write(new, path)


if __name__ == "__main__":
    main()
