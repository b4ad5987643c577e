"""The page: complete, self-contained, accessible, and drawn without an error by a real browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from gdnp.paper import Store
from gdnp.paper.claims import CLAIMS, recorded_results
from paper_problems import FIGURE1, FIGURE2, TABLE1, embedded


def without_plotly(text):
    """The page without the one script that is not ours."""
    scripts = re.findall(r"<script.*?</script>", text, flags=re.DOTALL)
    longest = max(scripts, key=len)
    assert len(longest) > 1_000_000
    return text.replace(longest, "")


class Outline(HTMLParser):
    """Elements, headings and visible words."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.headings = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))


def test_page_has_every_experiment_and_figure(text):
    outline = Outline(without_plotly(text))
    plots = [a for tag, a in outline.attributes if tag == "div" and a.get("class") == "plot"]
    assert len(plots) == len(embedded(text)) == 3 + 2 + 4
    for experiment in (FIGURE1, FIGURE2, TABLE1):
        assert f"{experiment.title}</h2>" in text
    assert "Environment</h2>" in text
    assert "numpy" in text


def test_every_recorded_verdict_is_on_it(text):
    for result in recorded_results():
        assert f'id="claim-{result.claim.id}"' in text
    assert text.count('class="badge') == len(CLAIMS)


def test_tables_and_sentences_come_from_the_summaries(finished, text):
    summary = Store(finished / "figure2-quick").summary
    assert summary["panels"][0]["methods"]["agd"]["label"] in text
    for panel in summary["panels"]:
        assert f"<caption>{panel['label']}</caption>" in text


def test_plotly_is_embedded_once(text):
    assert text.count("plotly.js v") == 1
    assert len(text) < 8_000_000


def test_page_needs_no_network(text):
    for tag, attributes in Outline(without_plotly(text)).attributes:
        for name in ("src", "href"):
            assert not re.match(r"(https?:)?//", attributes.get(name) or ""), (tag, attributes)
    assert not re.search(r"@import|url\(", without_plotly(text))


def test_links_to_files_for_print_lead_to_files(page, text):
    links = [a["href"] for tag, a in Outline(without_plotly(text)).attributes if tag == "a"]
    files = [link for link in links if not link.startswith("#")]
    assert len(files) >= 6
    assert all((page.parent / link).is_file() for link in files)
    targets = {a["id"] for _, a in Outline(without_plotly(text)).attributes if "id" in a}
    assert {link[1:] for link in links if link.startswith("#")} <= targets


def test_page_is_accessible(text):
    outline = Outline(without_plotly(text))
    assert ("html", {"lang": "en"}) in outline.attributes
    assert any(a.get("name") == "viewport" for _, a in outline.attributes)
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(outline.headings, outline.headings[1:], strict=False))
    for tag, attributes in outline.attributes:
        if attributes.get("class") == "plot":
            assert attributes["aria-label"]
        if tag == "img":
            assert attributes["alt"]
        if tag == "section":
            assert f'id="{attributes["aria-labelledby"]}"' in text


def luminance(color):
    channels = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255.0
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("number", [0, 1], ids=["light", "dark"])
def test_text_has_enough_contrast(number):
    style = resources.files("gdnp.paper.report").joinpath("report.html").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[number]))
    pairs = [(name, "paper") for name in ("ink", "muted", "accent")] + [
        ("ink", "none-soft"),
        ("ink", "raised"),
    ]
    pairs += [(name, f"{name}-soft") for name in ("good", "fixed", "bad")]
    for front, back in pairs:
        a, b = sorted([luminance(colors[front]), luminance(colors[back])])
        assert (b + 0.05) / (a + 0.05) >= 4.5, (front, back)


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-file-access-from-files",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=10000",
    "--dump-dom",
)


FRAME = """<!doctype html>
<body style="margin:0"><iframe src="{name}" style="border:0;width:390px;height:844px"></iframe>
<script>
window.addEventListener("load", function () {{ setTimeout(function () {{
  const inner = document.querySelector("iframe").contentDocument.documentElement;
  document.body.dataset.widths = inner.scrollWidth + " " + inner.clientWidth;
}}, 4000); }});
</script></body>"""


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    return found


def opened(browser, path: Path, profile: Path, *switches):
    """The document as it is after drawing, and what the browser's console has to say."""
    command = [browser, *SWITCHES, *switches, f"--user-data-dir={profile}", path.as_uri()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        dom, log = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    return dom, [line for line in log.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
def test_browser_draws_every_figure_without_an_error(browser, page, text, tmp_path, scheme):
    size = ("--window-size=1280,900", f"--blink-settings=preferredColorScheme={scheme}")
    dom, console = opened(browser, page, tmp_path / "profile", *size)
    assert console == []
    for number, source in enumerate(embedded(text)):
        start = dom.index(f'id="plot-{number}"')
        plot = dom[start : dom.find("</figure>", start)]
        assert 'class="main-svg"' in plot, number
        frame = re.search(r'<clipPath id="clip\w+xyplot"[^>]*><rect width="([\d.]+)" height="([\d.]+)"', plot)
        assert min(float(frame[1]), float(frame[2])) > 150.0, number
        assert plot.count('class="trace') + plot.count('class="contour') >= 1, number
        buttons = source["layout"]["updatemenus"][0]["buttons"]
        figure = dom[dom.rindex("<figure", 0, start) : start]
        assert figure.count("<button") == len(buttons)
        assert figure.count('aria-pressed="true"') == 1
    ink = "#f4f5f7" if scheme == 0 else "#000000"
    rgb = ", ".join(str(int(ink[k : k + 2], 16)) for k in (1, 3, 5))
    assert f"rgb({rgb})" in dom  # AGD's line


def test_page_does_not_scroll_sideways_on_a_phone(browser, page, tmp_path):
    frame = page.with_name("frame.html")
    frame.write_text(FRAME.format(name=page.name), encoding="utf-8")
    try:
        dom, console = opened(browser, frame, tmp_path / "profile", "--window-size=500,900")
    finally:
        frame.unlink()
    widths = re.search(r'data-widths="(\d+) (\d+)"', dom)
    assert console == []
    assert widths is not None
    assert int(widths[1]) == int(widths[2]) <= 390


@pytest.fixture
def live(browser, page):
    """The page in a browser that can be driven."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright, which drives a browser, is absent")
    with api.sync_playwright() as playwright:
        driven = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        opened = driven.new_page(viewport={"width": 1280, "height": 900})
        opened.goto(page.as_uri())
        yield opened
        driven.close()


def test_verdicts_are_searched_filtered_and_opened(live):
    rows = live.locator('tr[id^="claim-"]')
    whole = rows.count()
    live.fill("#search", "theorem-1")
    assert 0 < live.locator('tr[id^="claim-"]:visible').count() < whole
    assert live.inner_text("#left").endswith(f"of {whole}")
    live.fill("#search", "no such words")
    assert live.locator("tr.part:visible").count() == 0
    live.fill("#search", "")
    word = live.locator("#only option").nth(1).inner_text()
    live.select_option("#only", word)
    shown = live.locator('tr[id^="claim-"]:visible .badge').all_inner_texts()
    assert shown
    assert set(shown) == {word}
    live.click("#evidence")
    assert live.locator('tr[id^="claim-"]:visible details[open]').count() == len(shown)


def test_curves_are_had_as_csv(live):
    live.wait_for_selector(".plot .main-svg")
    with live.expect_download() as coming:
        live.locator(".csv").first.click()
    head, *rows = coming.value.path().read_text(encoding="utf-8").splitlines()
    assert head == "curve,x,y,z"
    assert len(rows) > 2
    assert all(re.fullmatch(r'"[^"]*",[^,]*,[^,]*,[^,]*', row) for row in rows)  # a gap in a line is empty
    assert sum(bool(re.search(r",-?\d", row)) for row in rows) > 0.9 * len(rows)


def test_pictures_come_first_and_formulas_are_mathml(text):
    assert text.index('class="figures') < text.index('id="verdicts"') < text.index('id="environment"')
    assert "<math><mi>" in text
    assert "^{" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
