"""The page: from files alone, complete, self-contained, accessible, and drawn by a browser."""

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from gdnp.paper import EXPERIMENTS, Store, StoreError
from gdnp.paper.claims import CLAIMS, recorded_results
from gdnp.paper.figure1.experiment import Figure1
from gdnp.paper.figure2 import Figure2
from gdnp.paper.report.page import AXIS, LAYOUT, NAME, find_results, styled, write_report
from gdnp.paper.table1 import Table1
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


def test_page_is_made_from_files_alone(finished, text, monkeypatch):
    for experiment in (Figure1, Figure2, Table1):
        monkeypatch.setattr(experiment, "summarise", None)
    monkeypatch.setattr(Table1, "interactive", lambda self, settings, results: [])
    with_images = write_report(None, finished, EXPERIMENTS).read_text(encoding="utf-8")
    assert "data:image/png;base64," in with_images


def test_page_repeats_exactly(finished, text):
    assert write_report(None, finished, EXPERIMENTS).read_text(encoding="utf-8") == text


def test_outcomes_choose_what_is_shown(finished, tmp_path):
    path = write_report([finished / "figure1-quick"], tmp_path / "elsewhere", EXPERIMENTS)
    found = path.read_text(encoding="utf-8")
    assert path == tmp_path / "elsewhere" / NAME
    assert FIGURE1.title in found
    assert FIGURE2.title not in found


def test_page_without_results_has_the_verdicts_alone(tmp_path):
    found = write_report([], tmp_path, EXPERIMENTS).read_text(encoding="utf-8")
    assert "Verdicts</h2>" in found
    assert len(found) < 500_000


def test_folder_that_is_no_result_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    assert find_results(tmp_path) == []
    with pytest.raises(StoreError, match="should hold a finished result"):
        write_report([tmp_path / "other"], tmp_path, EXPERIMENTS)
    assert list(tmp_path.glob("*.html")) == []


def unregistered(folder, **settings):
    """A finished result of an experiment that this version does not have."""
    store = Store(folder)
    store.begin({"experiment": "figure9", **settings})
    store.finish({"title": "Figure 9: <b>&", "notes": ["1 < 2 & 1e-4"]}, seed=0)
    png = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
    )
    (folder / "figure9.png").write_bytes(png)
    return folder


def test_images_stand_in_for_what_is_not_interactive(tmp_path):
    found = write_report([unregistered(tmp_path / "nine")], tmp_path, EXPERIMENTS).read_text(encoding="utf-8")
    assert 'src="data:image/png;base64,iVBOR' in found
    assert "Figure 9: &lt;b&gt;&amp;" in found
    assert "<b>&" not in found
    assert ">&lt;</mo><mn>2</mn></math> &amp; 1e\N{NON-BREAKING HYPHEN}4" in found


@pytest.mark.parametrize("file", ["settings.json", "summary.json"])
def test_result_of_other_code_is_shown_as_images(finished, tmp_path, file):
    """What another version has left has other keys; none of it is read as if it had ours."""
    folder = shutil.copytree(finished / "figure2-quick", tmp_path / "old")
    known = json.loads((folder / file).read_text(encoding="utf-8"))
    del known["losses" if file == "settings.json" else "counts"]
    (folder / file).write_text(json.dumps(known), encoding="utf-8")
    found = write_report([folder], tmp_path, EXPERIMENTS).read_text(encoding="utf-8")
    assert found.count("data:image/png") == 4
    assert 'class="plot"' not in found


def test_verdicts_of_other_code_give_way_to_those_on_record(tmp_path):
    store = Store(tmp_path / "theorems")
    store.begin({"experiment": "theorems"})
    store.finish({"claims": [{"id": "eq-7", "verdict": "HOLDS"}], "counts": {}}, seed=0)
    found = write_report(None, tmp_path, EXPERIMENTS).read_text(encoding="utf-8")
    assert found.count('class="badge') == len(CLAIMS)


def test_damaged_part_leaves_the_images(finished, tmp_path):
    folder = shutil.copytree(finished / "figure2-quick", tmp_path / "damaged")
    next((folder / "parts").glob("*.json")).write_text("{", encoding="utf-8")
    assert "data:image/png" in write_report([folder], tmp_path, EXPERIMENTS).read_text(encoding="utf-8")


def test_experiment_may_bring_its_own_figures(finished, tmp_path):
    figure = {
        "data": [{"type": "bar", "y": [1, 2]}],
        "layout": {"title": "Ours </script>", "meta": {"wide": True}},
    }

    class Ours(Figure2):
        def interactive(self, settings, results):
            return [figure]

    found = write_report([finished / "figure2-quick"], tmp_path, {"figure2": Ours()}).read_text(
        encoding="utf-8"
    )
    assert "<h3>Ours &lt;/script&gt;</h3>" in found
    assert '<figure class="wide">' in found
    assert embedded(found)[0]["data"] == figure["data"]


def test_verdicts_of_a_result_of_theorems_are_shown(tmp_path):
    store = Store(tmp_path / "theorems")
    store.begin({"experiment": "theorems"})
    recorded = recorded_results()[1]
    entry = {
        "id": recorded.claim.id,
        "verdict": recorded.outcome,
        "measured": 12.5,
        "bound": 20.0,
        "source": "Eq. 0",
    }
    entry |= {"evidence": "seen just now", "counterexample": None}
    absent = {"id": "assumption-1-a9a", "measured": None, "evidence": "a9a is not here", "missing": "data"}
    claims = [entry, {**entry, "id": "no longer there"}, absent]
    store.finish({"claims": claims, "counts": {}, "disagreements": []}, seed=0)
    found = write_report(None, tmp_path, EXPERIMENTS).read_text(encoding="utf-8")
    assert found.count('class="badge') == 2
    assert "seen just now" in found
    assert "a9a is not here" in found
    assert ">12.5</td>" in found


def test_defaults_fill_what_a_figure_leaves_open():
    given = {"title": {"text": "T"}, "xaxis": {"title": {"text": "x"}, "ticks": ""}, "margin": {"l": 56}}
    layout = styled({"data": [1], "layout": given})["layout"]
    assert "title" not in layout  # it stands in the text
    assert layout["xaxis"] == {**AXIS, "title": {**AXIS["title"], "text": "x"}, "ticks": ""}
    assert layout["margin"] == {**LAYOUT["margin"], "l": 56}
    assert layout["yaxis"] == AXIS
    assert given["xaxis"] == {"title": {"text": "x"}, "ticks": ""}


def test_further_axes_look_like_the_first():
    assert styled({"layout": {"yaxis2": {"side": "right"}}})["layout"]["yaxis2"] == {**AXIS, "side": "right"}
