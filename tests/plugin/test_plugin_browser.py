"""The gallery in a real browser, on a real API server: its three places, a review, and the form of an approval."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Error, Locator, Page, Route

from tests.browsing import PICTURES_THERE, launched
from tests.plugin.lookbook import ASKED, DAG_ID, ITEMS, REVIEW, REVIEWED, Lookbook
from tests.plugin.test_plugin_costs import order
from tests.plugin.world import World

pytestmark = pytest.mark.slow

SETTLED = """(count) => {
  const one = document.querySelector("[data-testid=segmind-gallery]");
  return one.ariaBusy === "false" && one.querySelectorAll("[data-testid=swap]").length === count;
}"""
# 24 looks; one each of: markup as its name, stored, batch, with a failed check, failed, unknown, not ordered, waiting
CARDS = 32
ORDERED = 28 + 1 + ITEMS
WIDTHS = (1400, 420)
MANY = 500
PATIENCE = 90_000
"""Milliseconds until something is on the screen; a busy machine takes long."""
SCROLLED_THROUGH = """async (where) => {
  for (const picture of document.querySelectorAll(where)) {
    if (picture.naturalWidth) continue;
    picture.scrollIntoView();
    await new Promise(requestAnimationFrame);
  }
}"""
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    with launched() as started:
        yield started


@pytest.fixture(scope="module")
def lookbook(browser: BrowserContext, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lookbook]:
    with Lookbook(tmp_path_factory.mktemp("lookbook")) as running:
        yield running


@pytest.fixture(scope="module")
def person(browser: BrowserContext, lookbook: Lookbook) -> BrowserContext:
    """Somebody who opens page after page; only the first one signs in, and loads all of Airflow's scripts."""
    for url in (lookbook.url, lookbook.url_below):
        page = browser.new_page()
        page.goto(url)
        page.get_by_text("Dags").first.wait_for(timeout=PATIENCE)
        page.close()
    return browser


@pytest.fixture
def visit(person: BrowserContext, lookbook: Lookbook) -> Iterator[Open]:
    """Return a function that opens a page; at the end no page may have met an error."""
    wrong: list[str] = []
    pages = []

    def visit(path: str, theme: Literal["light", "dark"] = "light", url: str = lookbook.url) -> Page:
        page = person.new_page()
        pages.append(page)
        page.emulate_media(color_scheme=theme)
        page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
        page.on("console", lambda said: wrong.append(f"console: {said.text}") if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(f"page: {error}") if is_ours(error) else None)
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("response", lambda got: wrong.append(f"{got.status} {got.url}") if got.status >= 400 else None)
        page.on("requestfailed", lambda lost: wrong.append(f"lost {lost.url}") if "/image/" in lost.url else None)
        page.goto(f"{url}/{path}")
        return page

    yield visit
    for page in pages:
        page.close()
    assert wrong == []


def is_ours(error: Error) -> bool:
    """Airflow 3.2's own scripts say so when they give up a request that nobody waits for."""
    return error.name != "AbortError" or "/segmind/" in (error.stack or "")


def run_path(lookbook: Lookbook, rest: str) -> str:
    return f"dags/{DAG_ID}/runs/{quote(lookbook.run_id, safe='')}/{rest}"


def gallery(page: Page) -> Locator:
    """Return the gallery, once all its pictures have pixels; those out of view are fetched by scrolling to them."""
    found = page.get_by_test_id("segmind-gallery")
    found.get_by_test_id("swap").first.wait_for(timeout=PATIENCE)
    page.evaluate(SCROLLED_THROUGH, "[data-testid=segmind-gallery] img")
    page.wait_for_function(PICTURES_THERE, arg="[data-testid=segmind-gallery] img", timeout=PATIENCE)
    found.locator("dl, article").first.scroll_into_view_if_needed()
    return found


def swap(inside: Locator, name: str) -> Locator:
    return inside.get_by_role("article", name=name, exact=True)


def settled(inside: Locator, count: int) -> None:
    """Wait until the answer to the latest choice is on the screen."""
    inside.page.wait_for_function(SETTLED, arg=count, timeout=PATIENCE)


def axe(page: Page, where: str = "[data-testid=segmind-gallery]") -> list[Any]:
    """Return what axe-core finds serious in the gallery."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=where).response["violations"]
    return [
        (one["id"], one["impact"], [node["html"][:200] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def test_the_page_shows_all_swaps_with_what_they_cost_and_how_they_ended(visit: Open) -> None:
    page = visit("plugin/body-swaps")
    shown = gallery(page)
    sums = dict(zip(shown.locator("dt").all_inner_texts(), shown.locator("dd").all_inner_texts(), strict=True))
    assert sums == {
        "ordered": str(ORDERED),
        "spent": "$15.85",
        "perhaps billed": "$0.27",
        "succeeded": "96 %",
        "waiting": "1",
        "not ordered": "1",
    }
    assert shown.get_by_role("heading", name="Body swaps").is_visible()
    squashed = swap(shown, "Coat, winter")
    assert "The result is stretched or squashed" in squashed.inner_text()
    assert "Failed" in swap(shown, "Denim").inner_text()
    refused = swap(shown, "Raincoat").inner_text()
    assert "Not ordered" in refused
    assert "Nobody in the photograph" in refused
    assert re.search(r"\$0.27 · 32 s\s+store · lookbook · .*20\d\d", swap(shown, "Linen, spring").inner_text())
    assert "Perhaps ordered" in swap(shown, "Wool").inner_text()
    assert "Done, not stored yet" not in shown.inner_text()
    assert swap(shown, "Linen, spring").get_by_role("img", name="Linen, spring: reference").is_visible()
    assert axe(page) == []


def test_a_swap_that_is_waited_for_counts_its_seconds(visit: Open) -> None:
    page = visit("plugin/body-swaps")
    mark = swap(gallery(page), "Silk, summer").locator(".sg-state")
    first = mark.inner_text()
    assert re.fullmatch(r"Waiting (\d+ min )?\d+ s", first)
    page.wait_for_function("(said) => !document.body.innerText.includes(said)", arg=first, timeout=5_000)


def test_the_slider_is_moved_by_keys_and_by_mouse(visit: Open) -> None:
    page = visit("plugin/body-swaps")
    shown = swap(gallery(page), "Linen, spring")
    slider = shown.get_by_role("slider", name="Linen, spring: before and after")

    def clipped() -> str:
        return str(shown.locator(".sg-before").evaluate("(one) => getComputedStyle(one).clipPath"))

    assert slider.input_value() == "50"
    middle = clipped()
    slider.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert slider.input_value() == "53"
    assert slider.get_attribute("aria-valuetext") == "53 % before, 47 % after"
    assert clipped() != middle
    page.keyboard.press("Home")
    assert slider.input_value() == "0"
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    assert 75 <= int(slider.input_value()) <= 85


def test_swaps_are_filtered(visit: Open) -> None:
    page = visit("plugin/body-swaps")
    shown = gallery(page)
    shown.get_by_label("State").select_option("failed")
    settled(shown, 1)
    assert swap(shown, "Denim").is_visible()
    shown.get_by_label("State").select_option("")
    shown.get_by_label("DAG").select_option(DAG_ID)
    settled(shown, 24)
    shown.get_by_label("Until").fill("2020-01-01")
    settled(shown, 0)
    assert shown.get_by_text("No swap fits").is_visible()
    assert axe(page) == []
    page.get_by_role("button", name="Clear").click()
    settled(shown, 24)


def test_swaps_are_paged_and_markup_in_a_name_is_only_a_name(visit: Open) -> None:
    page = visit("plugin/body-swaps")
    shown = gallery(page)
    pages = shown.get_by_role("navigation", name="Pages of swaps")
    assert f"1\N{EN DASH}24 of {CARDS}" in pages.inner_text()
    assert pages.get_by_role("button", name="Newer").is_disabled()
    pages.get_by_role("button", name="Older").click()
    settled(shown, CARDS - 24)
    assert f"25\N{EN DASH}{CARDS} of {CARDS}" in pages.inner_text()
    gallery(page)
    assert swap(shown, "<img src=x onerror=alert(1)>").is_visible()
    pages.get_by_role("button", name="Newer").click()
    settled(shown, 24)


def test_hundreds_of_swaps_are_paged_to_the_end_with_one_request_for_each_page(visit: Open, lookbook: Lookbook) -> None:
    world = World(lookbook.home / "airflow.db", lookbook.pictures)
    now = datetime.now(UTC)
    dag_id = "two_thousand"
    world.swaps(
        (
            {
                "request_id": f"q{n}",
                "after": f"{lookbook.pictures}/{n % 5}-after.webp",
                "cost": 0.27,
                "label": f"Swap {n}",
            },
            {"dag_id": dag_id, "map_index": n, "at": now - timedelta(days=1, seconds=n)},
        )
        for n in range(MANY)
    )
    try:
        page = visit("plugin/body-swaps")
        shown = gallery(page)
        shown.get_by_label("DAG").select_option(dag_id)
        pages = shown.get_by_role("navigation", name="Pages of swaps")
        pages.get_by_text(f"1\N{EN DASH}24 of {MANY:,}").wait_for()
        asked: list[str] = []
        page.on("request", lambda sent: asked.append(sent.url) if "/segmind/swaps?" in sent.url else None)
        for offset in range(24, MANY, 24):
            pages.get_by_role("button", name="Older").click()
            swap(shown, f"Swap {offset}").wait_for()
        assert pages.get_by_role("button", name="Older").is_disabled()
        assert swap(shown, f"Swap {MANY - 1}").is_visible()
        gallery(page)
    finally:
        world.clear()
    assert len(asked) == len(range(24, MANY, 24))


ODD = (
    "\N{ARABIC LETTER SAD}\N{ARABIC LETTER WAW}\N{ARABIC LETTER REH} 2.png",
    "gnp\N{RIGHT-TO-LEFT OVERRIDE}txt.exe",
    "\N{DRESS}" * 40,
    "w" * 300,
    "</script><b>bold</b>&amp;",
)


def test_odd_names_and_what_is_gone_are_shown_as_they_are(person: BrowserContext, lookbook: Lookbook) -> None:
    world, dag_id = World(lookbook.home / "airflow.db", lookbook.pictures), "odd_names"
    for n, label in enumerate(ODD):
        world.swap({"label": label, "after": f"{lookbook.pictures}/0-after.webp"}, dag_id, map_index=n)
    week_old = datetime.now(UTC) - timedelta(days=8)
    both = {"label": "Twice", "request_id": "t", "state": "completed", "orders": 1, "cost": 0.27, "maybe": 0.28}
    world.swap(both, dag_id, map_index=9)
    world.swap({"label": "Gone", "after": f"{lookbook.pictures}/gone.png"}, dag_id, map_index=10)
    world.swap({"label": "Elsewhere", "after": "s3://hidden/a.png"}, dag_id, map_index=11)
    world.swap({"label": "Late", "request_id": "late", "orders": 2, "cost": 1234.5}, dag_id, map_index=12, at=week_old)
    world.swap({"label": "Never", "state": "rejected"}, dag_id, map_index=13)
    page = person.new_page()
    try:
        page.goto(f"{lookbook.url}/plugin/body-swaps")
        shown = page.get_by_test_id("segmind-gallery")
        shown.get_by_label("DAG").select_option(dag_id)
        shown.get_by_text("The result's file is gone").wait_for(timeout=PATIENCE)
        assert shown.get_by_text("The result's folder is not shown here.").count() == 1
        assert "Done, never stored" in swap(shown, "Late").inner_text()
        assert "$0.27 · $0.28 perhaps billed" in swap(shown, "Twice").inner_text()
        assert "not billed" in swap(shown, "Never").inner_text()
        assert "$1,234.50" in shown.inner_text()
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 960})
            for label in ODD:
                assert swap(shown, label).is_visible()
            assert axe(page) == []
            assert shown.evaluate("(one) => one.scrollWidth <= one.clientWidth")
    finally:
        page.close()
        world.clear()


def test_the_gallery_leads_to_the_costs_and_back(visit: Open, lookbook: Lookbook) -> None:
    for number in range(3):
        order(lookbook.memory, DAG_ID, number)
    for url in (lookbook.url, lookbook.url_below):
        page = visit("plugin/body-swaps", url=url)
        gallery(page).get_by_role("link", name="Costs").click()
        row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=DAG_ID, exact=True))
        row.wait_for()
        assert row.get_by_role("cell").all_inner_texts()[1:3] == ["3", "$0.75"]
        assert axe(page, "main") == []
        page.get_by_role("link", name="7 days").click()
        page.wait_for_url("**/segmind/costs?days=7")
        assert row.is_visible()
        page.get_by_role("link", name="Body swaps").click()
        gallery(page)


def test_a_batch_shows_its_swaps(visit: Open) -> None:
    page = visit("plugin/body-swaps")
    shown = gallery(page)
    swap(shown, "Autumn, 30 looks").get_by_role("button", name="Show its swaps").click()
    inside = shown.get_by_role("region", name="Swaps of Autumn, 30 looks")
    swap(inside, "Autumn 1").wait_for()
    assert f"{ITEMS} swaps" in inside.inner_text()
    assert "The result is not at Segmind any more." in swap(inside, "Swap 2").inner_text()
    gallery(page)
    assert swap(inside, "Autumn 1").get_by_role("slider").is_visible()
    assert axe(page) == []
    inside.get_by_role("button", name="Older").click()
    swap(inside, "Autumn 30").wait_for()
    inside.get_by_role("button", name="Close").click()
    inside.wait_for(state="detached")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_place_is_readable_in_light_and_dark_on_a_desk_and_in_a_hand(
    visit: Open, lookbook: Lookbook, theme: Literal["light", "dark"]
) -> None:
    for path in (
        "plugin/body-swaps",
        run_path(lookbook, "plugin/body-swaps-run"),
        run_path(lookbook, "tasks/squashed/plugin/body-swaps-task"),
        run_path(lookbook, "tasks/review/plugin/body-swaps-task"),
    ):
        page = visit(path, theme)
        where = "segmind-review" if "/review/" in path else "segmind-gallery"
        shown = page.get_by_test_id(where)
        shown.get_by_role("article").first.wait_for(timeout=PATIENCE)
        assert page.evaluate("document.documentElement.classList.contains('dark')") == (theme == "dark")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 960})
            assert axe(page, f"[data-testid={where}]") == []
            assert shown.evaluate("(one) => one.scrollWidth <= one.clientWidth"), f"{path} is cut at its right edge"
        page.close()  # Airflow's pages ask its server as long as they are open


def test_a_run_has_a_tab_without_a_choice_of_dags(visit: Open, lookbook: Lookbook) -> None:
    shown = gallery(visit(run_path(lookbook, "plugin/body-swaps-run")))
    assert shown.get_by_label("DAG").count() == 0


def test_a_card_is_enlarged_by_keys(visit: Open) -> None:
    page = visit("plugin/body-swaps")
    card = swap(gallery(page), "Linen, spring")
    card.get_by_role("button", name="Linen, spring: enlarge").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Linen, spring")
    dialog.wait_for()
    page.wait_for_function(PICTURES_THERE, arg="dialog img", timeout=PATIENCE)
    assert dialog.get_by_role("img").count() == 3
    dialog.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    assert dialog.get_by_role("slider").input_value() == "51"
    assert axe(page, "dialog") == []
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")


def test_the_reason_is_seen_first_on_a_tasks_tab(visit: Open, lookbook: Lookbook) -> None:
    page = visit(run_path(lookbook, "tasks/squashed/plugin/body-swaps-task"))
    box = gallery(page).get_by_text("the result is stretched or squashed").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 960


def test_a_task_has_a_tab_with_its_swap(visit: Open, lookbook: Lookbook) -> None:
    page = visit(run_path(lookbook, "tasks/store/plugin/body-swaps-task"))
    shown = gallery(page)
    settled(shown, 1)
    # What the ordering task said, the storing task's card shows too.
    assert swap(shown, "Linen, spring").get_by_role("slider").is_visible()
    assert axe(page) == []
    mapped = gallery(visit(run_path(lookbook, "tasks/look/mapped/3/plugin/body-swaps-task")))
    settled(mapped, 1)
    assert swap(mapped, "Look 4").is_visible()


def test_a_task_without_a_swap_says_so(visit: Open, lookbook: Lookbook) -> None:
    page = visit(run_path(lookbook, "tasks/approve/plugin/body-swaps-task"))
    page.get_by_text("No body swaps yet").wait_for(timeout=PATIENCE)


def test_a_card_leads_to_its_task_and_the_task_to_its_pictures(visit: Open, lookbook: Lookbook) -> None:
    page = visit("plugin/body-swaps")
    gallery(page).get_by_role("link", name="Linen, spring").click()
    page.wait_for_url("**/tasks/store**")
    page = visit(run_path(lookbook, "tasks/store/details"))
    page.get_by_role("link", name="Result picture").wait_for(timeout=PATIENCE)
    # Before 3.3 Airflow opens it in another tab.
    address = page.get_by_role("link", name="Before / after").evaluate("(one) => one.href")
    page = visit(address.removeprefix(f"{lookbook.url}/"))
    assert swap(gallery(page), "Linen, spring").is_visible()


@pytest.mark.parametrize(
    ("task_id", "map_index", "task_url", "has_result"),
    [
        ("store", -1, "store", True),
        ("look", 3, "look/mapped/3", True),
        ("broken", -1, "broken", False),
    ],
)
def test_a_task_that_ended_has_its_links(
    lookbook: Lookbook, task_id: str, map_index: int, task_url: str, has_result: bool
) -> None:
    run = quote(lookbook.run_id, safe="")
    path = f"dags/{DAG_ID}/dagRuns/{run}/taskInstances/{task_id}/links"
    links = lookbook.rest.call("GET", path, params={"map_index": map_index})["extra_links"]
    assert links["Before / after"] == f"dags/{DAG_ID}/runs/{run}/tasks/{task_url}/plugin/body-swaps-task"
    picture = f"segmind/image/{DAG_ID}/{run}/{task_id}/{map_index}/after"
    assert links["Result picture"] == (picture if has_result else None)


def test_all_of_it_works_below_a_path(visit: Open, lookbook: Lookbook) -> None:
    page = visit("plugin/body-swaps", url=lookbook.url_below)
    shown = gallery(page)
    assert swap(shown, "Linen, spring").is_visible()
    page = visit(run_path(lookbook, "tasks/approve/required_actions"), url=lookbook.url_below)
    _approval_pictures(page)


def test_without_folders_swaps_and_sums_are_shown_and_how_pictures_are_switched_on(
    person: BrowserContext, lookbook: Lookbook
) -> None:
    def without_folders(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "has_roots": False})

    page = person.new_page()
    page.route("**/segmind/swaps?*", without_folders)
    page.goto(f"{lookbook.url}/plugin/body-swaps")
    page.get_by_text("Pictures are switched off.").wait_for(timeout=PATIENCE)
    shown = page.get_by_test_id("segmind-gallery")
    assert shown.get_by_text(str(ORDERED), exact=True).is_visible()
    assert "$0.27" in swap(shown, "Linen, spring").inner_text()
    assert swap(shown, "Linen, spring").locator(".sg-stage, .sg-none, .sg-reference").count() == 0
    (link,) = shown.get_by_role("link", name="how to").all()
    assert (link.get_attribute("href") or "").endswith("docs/gallery.md#configuration")
    assert axe(page) == []
    page.close()


def test_a_server_that_does_not_answer_is_asked_again(person: BrowserContext, lookbook: Lookbook) -> None:
    page = person.new_page()
    page.route("**/segmind/swaps**", lambda route: route.abort())
    page.goto(f"{lookbook.url}/plugin/body-swaps")
    page.get_by_text("Airflow cannot be reached.").wait_for(timeout=PATIENCE)
    page.unroute("**/segmind/swaps**")
    page.get_by_role("button", name="Try again").click()
    gallery(page)
    page.close()


def test_a_review_says_why_it_cannot_be_shown_or_takes_no_verdicts(person: BrowserContext, lookbook: Lookbook) -> None:
    def stopped(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "open": False, "state": "up_for_retry"})

    page = person.new_page()
    routes = "**/segmind/review/**"
    page.route(routes, lambda route: route.fulfill(status=404, json={"detail": "Its folder is not shown."}))
    page.goto(f"{lookbook.url}/{run_path(lookbook, 'tasks/review/plugin/body-swaps-task')}")
    page.get_by_text("Its folder is not shown.").wait_for(timeout=PATIENCE)
    page.unroute(routes)
    page.route(re.compile(r"/segmind/review/[^?]+\?(limit|offset)="), stopped)  # and no picture
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("Nobody is asked now: this task is up for retry.").wait_for(timeout=PATIENCE)
    assert page.get_by_role("button", name="Not asked now").is_disabled()
    page.close()


def test_two_people_review_two_hundred_pictures_at_once(visit: Open, lookbook: Lookbook) -> None:
    """One goes from the front and agrees page by page, the other from the back with keys; both are heard."""
    path = run_path(lookbook, "tasks/review/plugin/body-swaps-task")
    front, back = visit(path), visit(path)

    def shown(page: Page, offset: int) -> Locator:
        page.locator(f"[data-shown='{offset}']").wait_for(timeout=PATIENCE)
        return page.get_by_test_id("segmind-review")

    def sums(page: Page) -> dict[str, str]:
        inside = page.get_by_test_id("segmind-review")
        return dict(zip(inside.locator("dt").all_inner_texts(), inside.locator("dd").all_inner_texts(), strict=True))

    first = shown(front, 0)
    fourth = first.get_by_role("article", name="Look 4", exact=True)
    assert "suggested by the checks" in fourth.inner_text()
    assert "2 people in the result" in fourth.inner_text()
    assert fourth.get_by_label("Reject").is_checked()
    for offset in range(24, REVIEWED, 24):
        shown(back, offset - 24).get_by_role("button", name="Next").click()
    last = shown(back, 192)
    for number in range(193, REVIEWED + 1):
        last.get_by_role("article", name=f"Look {number}", exact=True).get_by_role("slider").focus()
        back.keyboard.press("a")
    first.get_by_role("article", name="Look 1", exact=True).get_by_label("Again").click()
    for offset in range(0, 192, 24):
        here = shown(front, offset)
        here.get_by_role("button", name="Agree on this page").click()
        here.get_by_role("button", name="Agree on this page").wait_for(state="detached")
        if offset < 168:
            here.get_by_role("button", name="Next").click()
    front.get_by_text(re.compile(r"^200$")).nth(1).wait_for(timeout=PATIENCE)  # the other's verdicts have come, too
    assert sums(front) == {"pictures": "200", "decided": "200", "keep": "172", "reject": "19", "again": "9"}
    assert axe(front, "[data-testid=segmind-review]") == []
    front.get_by_role("button", name="Finish the review").click()
    front.get_by_text("This review is finished").wait_for(timeout=PATIENCE)
    back.get_by_text("This review is finished").wait_for(timeout=PATIENCE)
    lookbook.rest.wait_until(
        "The review", lambda: lookbook.rest.task_state(DAG_ID, lookbook.run_id, *REVIEW) == "success", 90
    )
    summary = lookbook.rest.xcom(DAG_ID, lookbook.run_id, "review")
    assert {name: summary[name] for name in ("total", "kept", "rejected", "again")} == {
        "total": 200,
        "kept": 172,
        "rejected": 19,
        "again": 9,
    }
    assert len((lookbook.pictures / "review.jsonl").read_text().splitlines()) == REVIEWED


def test_approvals_show_the_three_pictures_of_their_swap_and_can_be_given(visit: Open, lookbook: Lookbook) -> None:
    """The last test: it ends the run."""
    seen = set()
    for task_id, map_index in ASKED:
        mapped = "" if map_index < 0 else f"/mapped/{map_index}"
        page = visit(run_path(lookbook, f"tasks/{task_id}{mapped}/required_actions"))
        _approval_pictures(page)
        seen.add(page.get_by_role("img", name="after", exact=True).get_attribute("src"))
        page.get_by_role("button", name="Approve").click()
        answered = partial(lookbook.rest.task_state, DAG_ID, lookbook.run_id, task_id, map_index)
        lookbook.rest.wait_until("The answer", lambda state=answered: state() == "success", 60)
    assert len(seen) == len(ASKED)
    assert lookbook.rest.wait_for_run(DAG_ID, lookbook.run_id, 90) == "success"


def _approval_pictures(page: Page) -> None:
    for slot in ("before", "reference", "after"):
        page.get_by_role("img", name=slot, exact=True).wait_for(timeout=PATIENCE)
    page.wait_for_function(PICTURES_THERE, arg="table img", timeout=PATIENCE)
    assert page.locator("table img").count() == 3
