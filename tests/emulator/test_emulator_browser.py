"""What pages of other origins do to the emulator from a real browser, which itself says where a request is from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from airflow_provider_segmind.emulator import Emulator
from tests.browsing import FLAGS, chromium
from tests.provider.odd_host import odd_host

pytestmark = pytest.mark.slow

ATTACK = """async (emulator) => {
  const body = JSON.stringify({credits: 0, api_key: "SG_theirs"});
  for (const type of ["text/plain", "application/x-www-form-urlencoded"])
    await fetch(emulator + "/_emulator/set", {method: "POST", mode: "no-cors", body, headers: {"Content-Type": type}});
  await fetch(emulator + "/_emulator/reset", {method: "POST", mode: "no-cors"});
  const form = document.createElement("form"), frame = document.createElement("iframe");
  const field = document.createElement("input");
  [frame.name, form.target, form.method, form.enctype] = ["frame", "frame", "POST", "text/plain"];
  [form.action, field.name, field.value] = [emulator + "/_emulator/set", '{"credits": 0, "api_key": "SG_theirs', '"}'];
  form.append(field);
  document.body.append(frame, form);
  const sent = new Promise((done) => frame.addEventListener("load", done));
  form.submit();
  await sent;
  const read = await fetch(emulator + "/_emulator/requests").then((answer) => answer.text(), (error) => "nothing");
  const picture = new Image();
  picture.src = emulator + "/samples/scene/0.png";
  await picture.decode();
  return [read, picture.naturalWidth];
}"""


@pytest.fixture
def page() -> Iterator[Page]:
    flags = [*FLAGS, "--host-resolver-rules=MAP evil.example 127.0.0.1"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags)
        yield browser.new_page()
        browser.close()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1"])
def test_a_page_changes_nothing_reads_nothing_and_sees_the_pictures(page: Page, host: str) -> None:
    with Emulator() as emulator, odd_host() as elsewhere:
        page.goto(f"{elsewhere.url}/html".replace("127.0.0.1", host))
        read, width = page.evaluate(ATTACK, emulator.url)
        assert (read, width) == ("nothing", 768)
        assert (emulator.settings.credits, emulator.api_key) == (100.0, "SG_0123456789abcdef")
        assert len(emulator.requests) == 1, "it was reset"


def test_a_page_whose_name_comes_to_mean_this_machine_reads_nothing(page: Page) -> None:
    with Emulator() as emulator:
        page.goto(f"{emulator.url}/_emulator/requests".replace("127.0.0.1", "evil.example"))
        assert "not known as 'evil.example" in page.content()
        page.goto(emulator.url)
        assert page.title() == "Segmind emulator"
