"""The page in a browser: with mouse, with keys alone, on a phone, and without a word to any other machine."""

import json
import shutil
import time

import numpy as np
import pytest
from describe.web.serving import Client
from PIL import Image

pytest.importorskip("starlette", reason="needs the extra `serve`")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
PATIENCE = 120_000  # milliseconds: the model is being loaded
expect = playwright.expect
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as tool:
        opened = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, server):
    """A fresh page; afterwards nothing was said on the console and nobody else was asked."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    said, asked = [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(server[0])
    yield opened
    context.close()
    assert [
        words for words in said if "a status of 422" not in words
    ] == []  # what the server refuses is said there too
    assert asked and all(url.startswith(server[0]) for url in asked)


@pytest.fixture
def files(write, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)).save(tmp_path / "picture.png")
    (tmp_path / "<b>notes.txt").write_text("hello")
    stack = [write(f"{n}.dcm", z=3.0 * n) for n in range(6)]
    return [str(path) for path in (*stack, tmp_path / "picture.png", tmp_path / "<b>notes.txt")]


def add(page, files):
    page.set_input_files("#files", files)
    page.wait_for_selector("#result:not([hidden])")


def compared(page):
    expect(page.locator("#verdict")).to_contain_text("Cosine")
    return page.text_content("#verdict")


def of_study(page, path=""):
    key = page.get_attribute("#json", "href").split("/")[2]
    return f"/api/studies/{key}{path}"


def test_a_study_is_added_looked_at_and_forgotten(page, files, server):
    add(page, files)
    assert page.text_content("#status") == "2 series with 7 slices described, 1 file refused."
    assert "<b>notes.txt: is not a DICOM file" in page.text_content("#refused")
    assert page.evaluate("document.activeElement.id") == "result-h"
    with page.expect_download() as saved:
        page.click("#json")
    document = json.loads(saved.value.path().read_text())
    with Client(server[0]) as client:
        assert client.get(of_study(page, "/description.json")).json() == document
        for number, one in enumerate(document["series"]):
            page.click(f"#series li:nth-child({number + 1}) button")
            place = len(one["slices"]) // 2
            shown = one["slices"][place]
            assert page.text_content("#where").startswith(f"Slice {place + 1} of {len(one['slices'])}")
            named = [name["name"] for name in (*shown["stations"], *shown["organs"])]
            assert page.locator("#findings th").all_text_contents() == named
            assert all(one["name"] in page.text_content("#timeline") for one in one["organs"])
            assert page.evaluate("document.getElementById('picture').decode().then(() => true)")
        page.click("#forget")
        assert client.get(of_study(page)).status_code == 404
    assert page.locator("#result").is_hidden() and "No part of it is kept" in page.text_content("#status")


def test_captions_are_compared_while_they_are_typed(page, files, server):
    add(page, files)
    compared(page)
    page.fill("#first", "An image of brain organs")
    page.fill("#second", "An image of foot organs")
    with page.expect_response("**/compare") as answer:
        pass
    a, b = answer.value.json()["cosines"]
    expect(page.locator("#verdict")).to_contain_text(f"{a:.3f}")
    better = "A" if a > b else "B"
    assert f"Caption {better} fits the slice better, by {abs(a - b):.3f}" in compared(page)
    page.fill("#first", "word " * 150)
    expect(page.locator("#verdict")).to_contain_text("shorten the caption")


def test_keys_are_enough(page, files):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached == ["files", "folder", "modality"]
    add(page, files)
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    at = [
        reached.index(name) for name in ("json", "forget", "SUMMARY", "BUTTON", "place", "first", "second", "restart")
    ]
    assert at == sorted(at)
    page.focus("#place")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.text_content("#where") == "Slice 2 of 6, at 3 mm"
    assert page.get_attribute("#place", "aria-valuetext").startswith("Slice 2 of 6, at 3 mm: ")
    assert "/slices/1.png" in page.get_attribute("#picture", "src")
    page.focus("#all summary")
    page.keyboard.press("Enter")
    page.wait_for_selector("#all tbody tr:nth-child(6)")


def test_a_drop_and_a_click_on_the_timeline(page, files):
    data = page.evaluate_handle(
        """([...bytes]) => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "one.dcm")); return data; }""",
        list(open(files[0], "rb").read()),
    )
    page.dispatch_event("h1", "drop", {"dataTransfer": data})
    page.wait_for_selector("#result:not([hidden])")
    assert page.text_content("#one-h") == "one.dcm" and page.locator("#slider").is_hidden()
    add(page, files[:6])
    assert page.text_content("#one-h") == "files side by side"
    box = page.locator("#timeline .lane").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.99, box["y"] + 5)
    assert page.text_content("#where").startswith("Slice 6 of 6")


@pytest.mark.parametrize("limits", [{"max_files": 5}, {"max_megabytes": 0.001}])
def test_what_is_too_much_is_refused_before_it_is_sent(page, files, limits, server):
    page.route("**/api/about", lambda route: route.fulfill(json=route.fetch().json() | limits))
    page.goto(server[0])
    expect(page.locator("#limits")).to_contain_text("At most")
    page.set_input_files("#files", files)
    page.wait_for_selector("#trouble:not([hidden])")
    option = "--max-files" if "max_files" in limits else "--max-upload"
    assert option in page.text_content("#trouble") and page.locator("#progress").is_hidden()


def test_a_page_that_is_left_takes_its_study_along(page, files, server):
    add(page, files[:1])
    address = of_study(page)
    page.goto("about:blank")
    with Client(server[0]) as client:
        deadline = time.monotonic() + 10
        while client.get(address).status_code != 404:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_it_fits_a_phone_and_a_screen_reader(browser, page, files, server):
    add(page, files)
    compared(page)
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    for width in (390, 320):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
