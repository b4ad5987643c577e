"""The explorer in a real browser: its numbers against those of gdnp, its controls, and what it says."""

import math
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

import gdnp
from gdnp import explorer
from gdnp.losses import LOSSES
from gdnp.population import Halfspace, LeastSquares

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
STEPS = 25


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("explorer") / "explorer.html"
    path.write_text(explorer.page(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright, which drives a browser, is absent")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, file):
    """Opens the page, with options of the window and what stands behind its #; no script may fail."""
    pages, failures = [], []

    def open_(link="", **options):
        page = browser.new_page(**options)
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda message: failures.append(message.text))
        page.on("request", lambda request: request.url.startswith("file:") or failures.append(request.url))
        page.goto(f"{file.as_uri()}{link}")
        pages.append(page)
        return page

    yield open_
    for page in pages:
        page.close()
    assert failures == []


# --- its numbers


def asked(count=200):
    """States of the page: problems, starts, steps and methods. Beyond 2 GDNP's guard has to halve them."""
    rng = np.random.default_rng(0)
    methods = ["gd", "agd", "batch_norm_gd", "weight_norm_gd", "gdnp", "gdnp_metric"]
    for k in range(count):
        yield {
            "world": "sample" if k % 4 == 3 else "gaussian",
            "kappa": float(np.round(10.0 ** rng.uniform(0.0, 3.0), 3)),
            "r": float(np.round(rng.uniform(0.02, 0.98), 3)),
            "angle": float(np.round(rng.uniform(-180.0, 180.0), 1)),
            "loss": explorer.EXPLORED[(k // 6) % 4],
            "method": methods[k % 6],
            "start": np.round(rng.standard_normal(2) * 10.0 ** rng.uniform(-1.0, 1.0), 3).tolist(),
            "steps": STEPS,
            # beyond 2 the guard of GDNP has to halve its steps
            "multiple": float(
                np.round(10.0 ** rng.uniform(-1.0, 0.7 if methods[k % 6] == "gdnp" else 0.0), 2)
            ),
        }


def objective_of(state, found):
    """The same problem in gdnp, from u and S of the page."""
    u, (a, b, c) = np.array(found["u"]), found["S"]
    S = np.array([[a, b], [b, c]])
    if state["loss"] == "squared_error":
        return LeastSquares(u, S)
    if state["world"] == "gaussian":
        return Halfspace(u, S, state["loss"])
    rows = np.array(explorer.constants()["sample"])
    X = rows[:, :2] - rows[:, :2].mean(axis=0)
    return gdnp.Objective(X / X.std(axis=0), rows[:, 2], state["loss"], n_jobs=1)


def path_of(objective, state):
    """The points of gdnp's run, shape (k, 2), and f at them."""
    name, step = state["method"], None
    options = {"multiple": state["multiple"]} if name == "gdnp" else {}
    if name not in ("gdnp", "gdnp_metric"):
        curvature = objective.covariance.largest * objective.loss.max_curvature
        step = state["multiple"] / curvature
        options = {"step": step}
    points = []
    method = gdnp.methods.METHODS[name](**options)
    start = np.array(state["start"])
    gdnp.minimize(
        objective,
        method,
        start,
        max_iter=STEPS,
        tol=0.0,
        callback=lambda row: points.append((*row.point.coef, row.objective)),
    )
    return np.array(points)


def test_paths_are_those_of_gdnp(opened):
    states = list(asked())
    found = opened().evaluate("states => states.map(state => explorer.run(state))", states)
    compared = 0
    for state, there in zip(states, found, strict=True):
        objective = objective_of(state, there)
        here = path_of(objective, state)
        shared = min(len(here), len(there["w"]))
        assert shared > 1 or here[0, 2] == pytest.approx(there["f"][0])
        w, f = np.array(there["w"][:shared]), np.array(there["f"][:shared])
        size = 1.0 + np.abs(here[:shared, :2]).max(axis=1, keepdims=True)
        assert np.abs(w - here[:shared, :2]).max() <= 1e-6 * size.max(), state
        np.testing.assert_allclose(f, here[:shared, 2], rtol=1e-6, atol=1e-12, err_msg=str(state))
        metric, u = objective.covariance, objective.u
        for k in (0, shared - 1):
            gap = gdnp.theory.directional_gap(u, metric, w[k])
            assert there["gap"][k] == pytest.approx(gap, rel=1e-6, abs=1e-14)
            assert there["length"][k] == pytest.approx(metric.norm(w[k]), rel=1e-9)
        compared += shared
    assert compared > 3000


def test_newton_is_at_the_minimum_within_twenty_steps(opened):
    rng = np.random.default_rng(1)
    states = [
        {
            **state,
            "loss": loss,
            "method": "newton",
            "steps": 20,
            "start": (0.5 * rng.standard_normal(2)).tolist(),
        }
        for state, loss in zip(asked(40), ["squared_error", "log_loss"] * 20, strict=True)
    ]
    found = opened().evaluate("states => states.map(state => explorer.run(state))", states)
    for state, there in zip(states, found, strict=True):
        objective = objective_of(state, there)
        least = gdnp.minimize(objective, "gdnp_metric", max_iter=500, tol=1e-12).objective
        assert there["f"][-1] == pytest.approx(least, rel=1e-6, abs=1e-9), state


@pytest.mark.parametrize("loss", explorer.EXPLORED[1:])
def test_losses_and_the_tail_of_the_normal_are_those_of_gdnp(opened, loss):
    t = np.linspace(-30.0, 30.0, 601)
    code = """([loss, ts]) => ts.map(t => {
        const out = [0, 0, 0];
        LOSSES[loss](t, out);
        return [...out, SLOPES[loss](t)];
    })"""
    there = np.array(opened().evaluate(code, [loss, t.tolist()]))
    value, slope, bend = LOSSES[loss].derivatives(t)
    for column, wanted in enumerate((value, slope, bend, slope)):
        np.testing.assert_allclose(there[:, column], wanted, rtol=1e-12, atol=1e-300)


# --- its controls


def state_of(page):
    page.wait_for_function("!waiting")
    return page.evaluate("explorer.state")


def test_every_slider_and_choice_changes_the_picture_and_the_link(opened):
    page = opened(viewport={"width": 1280, "height": 1400})
    for name in ("kappa", "r", "angle", "steps", "multiple"):
        before, shown = state_of(page), page.inner_html("#map") + page.inner_html("#charts")
        page.focus(f"#{name}")
        page.keyboard.press("ArrowRight")
        after = state_of(page)
        assert after[name] > before[name]
        assert page.inner_html("#map") + page.inner_html("#charts") != shown
        assert f"{name}={after[name]:g}"[:8] in page.url
    for loss in explorer.EXPLORED:
        page.check(f"input[value={loss}]")
        assert state_of(page)["loss"] == loss
    for box in page.query_selector_all("#methods input"):
        name, was = box.get_attribute("value"), box.is_checked()
        box.click()
        assert (name in state_of(page)["methods"]) is not was
        assert (page.query_selector(f'path[data-method="{name}"]') is not None) is not was
    page.click("#reset")
    assert state_of(page)["kappa"] == 6


def test_the_start_follows_the_mouse_and_the_arrow_keys(opened):
    page = opened(viewport={"width": 1280, "height": 900})
    box = page.locator("#handle circle.grip").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y + 40, steps=5)
    page.mouse.up()
    state_of(page)
    moved = page.locator("#handle circle.grip").bounding_box()
    assert moved["x"] + moved["width"] / 2 == pytest.approx(x - 60, abs=1.5)
    assert moved["y"] + moved["height"] / 2 == pytest.approx(y + 40, abs=1.5)
    before = state_of(page)
    page.focus("#handle")
    page.keyboard.press("Shift+ArrowLeft")
    after = state_of(page)
    assert (after["turn"], after["far"]) != (before["turn"], before["far"])
    assert page.evaluate("document.activeElement.id") == "handle"
    assert "degrees from the line" in page.get_attribute("#handle", "aria-valuetext")


def test_a_tap_moves_the_start(opened):
    page = opened(viewport={"width": 390, "height": 844}, has_touch=True)
    before, box = state_of(page), page.locator("#map").bounding_box()
    page.touchscreen.tap(box["x"] + 40, box["y"] + 60)
    assert state_of(page)["turn"] != before["turn"]


def test_play_pause_and_single_steps(opened):
    page = opened()
    page.click("#play")
    page.wait_for_function("explorer.state.time >= 3 && explorer.state.time < 40")
    page.click("#play")
    at = state_of(page)["time"]
    page.click("#forward")
    assert state_of(page)["time"] == at + 1
    page.click("#back")
    assert state_of(page)["time"] == at
    page.focus("#time")
    page.keyboard.press("End")
    assert state_of(page)["time"] == 40
    assert page.inner_text("#time-value") == "step 40"


def test_a_link_brings_the_state_back(opened):
    page = opened(
        "#kappa=50&r=0.8&angle=-30&loss=sigmoid&methods=agd.newton&turn=20&far=0.7&steps=30&time=12&multiple=0.5"
    )
    state = state_of(page)
    wanted = {
        "kappa": 50,
        "r": 0.8,
        "angle": -30,
        "loss": "sigmoid",
        "methods": ["agd", "newton"],
        "turn": 20,
    }
    assert wanted.items() <= state.items()
    assert state["time"] == 12
    again = opened(page.url[page.url.index("#") :])
    assert state_of(again) == state
    assert again.inner_html("#map") == page.inner_html("#map")


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("#r=1", "strictly between 0 and 1"),
        ("#kappa=0.2", "between 1 and 1000"),
        ("#loss=hinge", "does not know"),
        ("#loss=probit&methods=gdnp", "GDNP: the length diverges"),
    ],
)
def test_what_cannot_be_drawn_is_said(opened, link, words):
    page = opened(link)
    assert words in page.inner_text("#warning")
    page.click("#reset")
    state_of(page)
    assert not page.is_visible("#warning")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("1 2 a\n2 4 b\n3 6 a\n4 8 b", "S is singular: the two columns are the same"),
        ("1 2 a\n1 4 b\n1 6 a", "one of the two columns is constant"),
        ("1 2 a\n2 3 a\n1 6 a", "Two different labels"),
        ("1 2 a\n2 3 b", "At least three rows"),
        ("1 2 a\n2 three b\n4 1 a", "Line 2 should be two numbers and a label"),
        ("\n".join(f"{k} {k * k} {k % 2}" for k in range(2001)), "At most 2000 rows"),
        ("-2 1 no\n-1 -1 no\n1 1 yes\n2 -1 yes\n1 0 yes\n-1 0 no", "the length diverges"),
    ],
)
def test_rows_of_ones_own(opened, rows, words):
    page = opened("#methods=newton")
    page.check("input[value=sample]")
    state_of(page)
    assert not page.is_visible("#warning")
    page.evaluate("rows => { $('rows').value = rows }", rows)
    page.dispatch_event("#rows", "input")
    state_of(page)
    assert words in page.inner_text("#warning")


def test_a_file_of_rows_is_read(opened, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a;b;c\n1;2;up\n2;1;down\n3;5;up\n4;0;down\n0;1;down\n5;5;up\n1;1;up\n", encoding="utf-8")
    page = opened("#world=sample")
    before = page.inner_html("#map")
    page.set_input_files("#file", path)
    page.wait_for_function("before => document.getElementById('map').innerHTML !== before", arg=before)
    assert page.evaluate("data.length") == 7


# --- how it looks


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_methods_have_colours_of_their_own_that_can_be_seen(opened, scheme):
    page = opened(color_scheme=scheme)
    code = "name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()"
    names = [box.get_attribute("value") for box in page.query_selector_all("#methods input")]
    colours = [page.evaluate(code, name) for name in names]
    assert len(set(colours)) == len(names)
    for colour in colours:
        a, b = sorted((luminance(colour), luminance(page.evaluate(code, "paper"))))
        assert (b + 0.05) / (a + 0.05) >= 3.0, colour


def luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255.0 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_on_a_phone_nothing_scrolls_sideways_and_fingers_find_the_controls(opened):
    page = opened(viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in page.query_selector_all("button"):
        assert button.bounding_box()["height"] >= 36


def test_everything_has_a_name_for_screen_readers(opened):
    page = opened()
    for node in page.query_selector_all("input, button, textarea, svg[role=img], #handle"):
        name = node.evaluate(
            "n => n.ariaLabel || n.textContent || [...(n.labels || [])].map(l => l.textContent).join()"
        )
        assert name.strip(), node.get_attribute("id")
    page.wait_for_function("document.getElementById('said').textContent.includes('GDNP: f')")


# --- the file and the command


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


def test_the_page_is_one_small_file_that_asks_for_nothing():
    text = explorer.page()
    assert len(text.encode()) < 1_000_000
    assert text.count("\n") < 1500
    assert "GDNP_" not in text
    links = Links()
    links.feed(text)
    assert [link for link in links.found if not link.startswith("data:")] == []
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
    assert math.isclose(sum(explorer.constants()["weights"]), 2.0)
