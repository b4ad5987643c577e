"""Formulas in sentences: what becomes one, what stays prose, and that nothing of a sentence is lost."""

import re
import unicodedata
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdnp.paper.claims import CLAIMS
from gdnp.paper.report.formulas import with_formulas


def formulas(text):
    """What is set as formulas, pieces of one that a line may be broken between joined by a bar."""
    joined = with_formulas(text).replace("</math> <math>", "|")
    found = re.findall("<math>.*?</math>", joined)
    return [re.sub("<mtext>.*?</mtext>|<[^>]*>", "", one) for one in found]


def mathml(text):
    return "".join(re.findall("<math>(.*?)</math>", with_formulas(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("S of the data is positive definite, 0 < μ (on a9a).", ["0|&lt;μ"]),
        ("the value f(w, g) = f(w̃) everywhere", ["f(w,g)|=f(w~)"]),
        ("is w⁺ = (I - S/L) w + (k/L) u with k = 2.", ["w+|=(I|−S/L)w|+(k/L)u", "k|=2"]),
        ("Theorem 1's η is a step; a = b too", ["η", "a|=b"]),
        ("an ε-critical point from (w, g) by GDNP_seq on N(0, I)", []),
        ("a sample (κ = 10, r = .5) of it", ["(κ|=10,r|=.5)"]),
        ("without γ) at last", ["γ"]),
        ("to lengths |g|: log_loss 2.83, 1e+06 of param_groups", ["|g|"]),
    ],
)
def test_what_is_a_formula(text, expected):
    assert formulas(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x^{2T}", "<msup><mi>x</mi><mrow><mn>2</mn><mi>T</mi></mrow></msup>"),
        ("‖w‖_S²", "<msubsup>"),
        ("S⁻¹u", "<msup><mi>S</mi><mrow><mo>−</mo><mn>1</mn></mrow></msup><mi>u</mi>"),
        ("w̃ = 1.5", '<mover accent="true"><mi>w</mi><mo>~</mo></mover><mo form="infix"'),
        ("φ''", "<msup><mi>φ</mi><mrow><mo>′</mo><mo>′</mo></mrow></msup>"),
        ("a^(i) = 0", "<msup><mi>a</mi>"),
    ],
)
def test_scripts_belong_to_the_symbol_before_them(text, expected):
    assert expected in mathml(text)


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=list(CLAIMS))
def test_sentences_keep_every_symbol_and_are_well_formed(claim):
    for text in (claim.statement, claim.scope):
        found = ElementTree.fromstring(f"<p>{with_formulas(text)}</p>")
        shown = "".join(found.itertext())
        same = str.maketrans({"−": "-", "′": "'"} | dict.fromkeys(" ~\u0303_^{}"))
        expected = unicodedata.normalize("NFKC", text).translate(same)
        assert sorted(unicodedata.normalize("NFKC", shown).translate(same)) == sorted(expected)


@settings(max_examples=200, deadline=None)
@given(st.text("ab w2²₀ᵀ'*_^{}()‖|=<&.,;\u0303μ-", max_size=20))
def test_any_text_is_well_formed(text):
    ElementTree.fromstring(f"<p>{with_formulas(text)}</p>")


def test_other_marks_are_escaped():
    found = with_formulas("the <script> of w < g")
    assert found.startswith("the &lt;script&gt; of <math><mi>w</mi></math> <math><mo ")
    assert found.endswith(">&lt;</mo><mi>g</mi></math>")
