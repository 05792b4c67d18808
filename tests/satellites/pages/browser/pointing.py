"""Where things are on the replay page, and what it shows."""

from typing import Any

from playwright.sync_api import Page


def place_of(page: Page, name: str) -> int:
    found: int = page.evaluate("(name) => nodes.name.indexOf(name)", name)
    assert found >= 0, f"there is no node {name}"
    return found


def go(page: Page, name: str) -> None:
    """Go to a node by the search."""
    page.fill("#search", name)
    page.get_by_role("list", name="Nodes found").get_by_role("button", name=name, exact=True).click()
    assert page.locator("#node").text_content() == name


def unfold(page: Page, picture: str = "operations") -> None:
    """Show one of the pictures of the graph: that of all operations, or another one."""
    page.evaluate("(label) => changeView(named(label))", picture)


def here(page: Page) -> str:
    return page.locator("#node").text_content() or ""


def spot(page: Page, place: int, index: tuple[int, ...], besides: bool = False) -> tuple[float, float]:
    """Return where on the screen an element of a heatmap is, scrolled into sight."""
    found: list[float] = page.evaluate(
        """([place, index, besides]) => {
          // An array of more than two axes is several tables.
          const tables = heatmaps.filter((each) => each.place === place && Boolean(each.besides) === besides);
          const found = tables.map((heat) => [heat, ...heat.find(ravel(index, heat.value.shape))]);
          const [heat, r, c] = found.find(([, r, c]) => r >= 0 && c >= 0) || [];
          if (!heat) throw new Error("it is not there");
          heat.box.scrollIntoView({ block: "nearest" });
          heat.reveal(r, c);
          heat.draw();
          const seen = heat.box.getBoundingClientRect();
          return [seen.left + 1 + heat.gutter + (c + 0.5) * heat.cellWidth - heat.box.scrollLeft,
                  seen.top + 1 + heat.header + (r + 0.5) * heat.cellHeight - heat.box.scrollTop];
        }""",
        [place, list(index), besides],
    )
    return found[0], found[1]


def hover(page: Page, name: str, index: tuple[int, ...], besides: bool = False) -> None:
    """Point at an element, and wait until the page has said what there is to say of it."""
    page.mouse.move(*spot(page, place_of(page, name), index, besides))
    settled(page)


def click(page: Page, name: str, index: tuple[int, ...], besides: bool = False) -> None:
    page.mouse.click(*spot(page, place_of(page, name), index, besides))
    settled(page)


def settled(page: Page) -> None:
    """Wait until all that was to be drawn is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")


def equation(page: Page) -> str:
    return page.locator("#equation .equation").first.text_content() or ""


def lit(page: Page) -> dict[str, list[int]]:
    """Return which elements are lit up, by the name of their node."""
    found: dict[str, list[int]] = page.evaluate(
        """() => Object.fromEntries(heatmaps.filter((heat) => !heat.besides && heat.lit.size)
             .map((heat) => [nodes.name[heat.place], [...heat.lit].sort((a, b) => a - b)]))"""
    )
    return found


def boxes(page: Page, state: str) -> set[str]:
    """Return the titles of the boxes of the diagram that are in a state."""
    found: list[str] = page.evaluate(
        "(state) => picture.boxes.flatMap((box, i) => (box.group.classList.contains(state) ? [boxTitle(i)] : []))",
        state,
    )
    return set(found)


def shown_values(page: Page, name: str) -> list[str]:
    """Return the numbers of a heatmap, as they are written in its cells, row after row."""
    found: list[Any] = page.evaluate(
        """(place) => {
          const heat = heatmaps.find((each) => each.place === place);
          return heat.rows.flatMap((_, r) => heat.columns.map((_, c) => heat.value.text(heat.cellAt(r, c))));
        }""",
        place_of(page, name),
    )
    return found


def until(page: Page, condition: str) -> None:
    """Wait until a condition of the page's script is true; the page's policy lets nobody hand it one as text."""
    page.evaluate(
        f"""() => new Promise((done, failed) => {{
          const end = performance.now() + 15000;
          const look = () => {{
            if ({condition}) done();
            else if (performance.now() > end) failed(new Error("it has not come true"));
            else requestAnimationFrame(look);
          }};
          look();
        }})"""
    )
