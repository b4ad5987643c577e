"""Sentences with formulas in Unicode, such as ∇f(w̃) = c₁ u, and x^{2T} to HTML with MathML."""

import re
import unicodedata
from dataclasses import dataclass
from html import escape

NAMES = "diag|inf|log|max|min|range|sd|sin|sup|var"
SCRIPT = r"[_^]\{[^}]*\}|\^\([^)]*\)|_[A-Za-z\d]+"
ATOM = re.compile(rf"({SCRIPT})|([A-Za-z]{{3,}}|{NAMES})(?![A-Za-z])|(\d+(?:\.\d+)?|\.\d+)|(\S)")
BREAK = re.compile(r" (?=[-+=<>≤≥≠∝→] )")
"""Where a line may end."""
MARKS = ".,;:"
RAISED = {"'": "<mo>′</mo>", "*": "<mo>*</mo>"}
NOTHING = "<mrow></mrow>"
FENCES = "()[]|‖"


def with_formulas(text: str) -> str:
    """HTML of a sentence: each run of words that make a formula is one ``<math>``."""
    made: list[str] = []
    run: list[str] = []
    words = text.split(" ")
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if _kind(word, following) == "prose":
            made += [*_run(run), escape(word)]
            run = []
            continue
        run.append(word)
        joined = " ".join(run)
        if word[-1:] in MARKS and joined.count("(") <= joined.count(")"):
            made += _run(run)
            run = []
    return " ".join([*made, *_run(run)])


def _run(words: list[str]) -> list[str]:
    """The formula of the words, and the marks after it; numbers and letters alone make none."""
    if not any(_kind(word) == "formula" for word in words):
        return [escape(word) for word in words]
    text = " ".join(words)
    core = text.rstrip(MARKS)
    if core.endswith(")") and core.count(")") > core.count("("):
        core = core[:-1]
    marks = text[len(core) :]  # in it, so that no line begins with one
    first, *others = map(_row, BREAK.split(core))
    others = [part.replace("<mo>", '<mo form="infix" lspace="0">', 1) for part in others]
    made = [f"<math>{part}</math>" for part in (first, *others)]
    made[-1] = made[-1].removesuffix("</math>") + (f"<mtext>{marks}</mtext></math>" if marks else "</math>")
    return made


def _kind(word: str, following: str = "") -> str:
    """formula; joined, what is part of one only beside it; or prose."""
    bare = re.sub(rf"{SCRIPT}|\([a-z]{{3,}}\)|(?<![A-Za-z])({NAMES})(?![A-Za-z])", "", word)
    pieces = re.findall("[A-Za-z]+", bare)
    if word in ("a", "&"):  # an article, except in a = b
        return "joined" if following == "=" else "prose"
    if word.endswith("'s") or re.match(r"\w{2,}_\w", word) or any(len(piece) > 2 for piece in pieces):
        return "prose"
    if re.fullmatch(r"-?[\d.]+e[+-]\d+[.,;:]?", word):
        return "joined"
    if re.search(SCRIPT, word) or any(_is_math(char) for char in word):
        return "formula"
    return "joined" if word[:1] == "-" or all(len(piece) == 1 for piece in pieces) else "prose"


def _is_math(char: str) -> bool:
    symbol = unicodedata.category(char) in ("Sm", "Mn") or char == "‖"
    return symbol or bool(_raised(char)) or "GREEK" in unicodedata.name(char, "")


def _raised(char: str) -> str:
    """sup for ², sub for ₀, else nothing."""
    return {"<super>": "sup", "<sub>": "sub"}.get(unicodedata.decomposition(char).partition(" ")[0], "")


@dataclass
class _Atom:
    """A symbol and what is set below and above it, as MathML."""

    base: str
    sub: str = ""
    sup: str = ""

    def put(self, place: str, script: str) -> None:
        setattr(self, place, getattr(self, place) + script)

    def __str__(self) -> str:
        scripts = [f"<mrow>{script}</mrow>" for script in (self.sub, self.sup) if script]
        tag = "m" + "sub" * bool(self.sub) + "sup" * bool(self.sup)
        return f"<{tag}>{self.base}{''.join(scripts)}</{tag}>" if scripts else self.base


def _row(text: str) -> str:
    """MathML of a formula: a script belongs to the symbol before it."""
    atoms = [_Atom(NOTHING)]
    for found in ATOM.finditer(text):
        script, word, number, char = found.groups()
        if script:
            atoms[-1].put("sub" if script[0] == "_" else "sup", _row(script[1:].strip("{}")))
        elif word or number:
            atoms.append(_Atom(f"<mi>{word}</mi>" if word else f"<mn>{number}</mn>"))
        elif char in RAISED or _raised(char):
            shown = RAISED.get(char) or _row(unicodedata.normalize("NFKC", char))
            atoms[-1].put(_raised(char) or "sup", shown)
        elif unicodedata.category(char) == "Mn":
            accent = char.replace("\N{COMBINING TILDE}", "~")
            atoms[-1].base = f'<mover accent="true">{atoms[-1].base}<mo>{accent}</mo></mover>'
        elif char.isalpha():
            atoms.append(_Atom(f"<mi>{char}</mi>"))
        else:
            look = ' stretchy="false" lspace="0" rspace="0"' if char in FENCES else ""
            atoms.append(_Atom(f"<mo{look}>{escape(char.replace('-', '−'))}</mo>"))
    return "".join(map(str, atoms)).removeprefix(NOTHING)
