"""Sphinx: ``python -m sphinx -W -b html docs OUT``; GDNP_GALLERY=1 runs the examples of the gallery."""

import os
import re
from pathlib import Path

import gdnp
from gdnp.explorer import page

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

project = "gdnp"
author = "The gdnp developers"
copyright = author
version = release = gdnp.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "sg_execution_times.rst"]
nitpicky = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

html_theme = "pydata_sphinx_theme"
html_title = "gdnp"
html_show_sourcelink = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": []}

sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples" / "gallery"),
    "gallery_dirs": "examples",
    "filename_pattern": r"plot_",
    "plot_gallery": os.environ.get("GDNP_GALLERY") == "1",
    "remove_config_comments": True,
    "download_all_examples": False,
    "reset_modules": (),
    "min_reported_time": 1e9,
}

LINK = re.compile(r"\[([^\]]+)\]\(([^)#:]+)([^)]*)\)")
CHANGES = "GDNP_CHANGES"
"""Where a page has the changelog."""


def without_links_outside(app, name, source):
    """Pages link to files of the source tree, which the site does not have: the words stay, the link goes."""
    folder = (DOCS / name).parent

    def kept(match):
        inside = DOCS in (folder / match[2]).resolve().parents
        return match[0] if inside else match[1]

    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("\n## ")[2]
    text = source[0].replace(CHANGES, "## " + changes.replace("](docs/", "]("))
    source[0] = LINK.sub(kept, text)


def with_formulas_as_text(app, what, name, value, options, lines):
    """Formulas in docstrings are plain text: a bar is no substitution, and coef_ no link."""

    def escaped(text):
        return re.sub(r"(\w)_(?!\w)", r"\1\\_", text.replace("|", r"\|"))

    for number, line in enumerate(lines):
        if not re.match(r"\w[\w, ]* : |\s*>>>", line):
            parts = re.split(r"(``.*?``|`.*?`)", line)
            lines[number] = "".join(part if part.startswith("`") else escaped(part) for part in parts)


def without_what_is_inherited(app, what, name, value, skip, options):
    """scikit-learn writes the methods for metadata routing itself."""
    return True if re.fullmatch(r"set_\w+_request|get_metadata_routing", name) else None


def write_explorer(app, failure):
    """The explorer lives on the site, as the command writes it."""
    if failure is None and app.builder.format == "html":
        Path(app.outdir, "explorer.html").write_text(page(), encoding="utf-8")


def setup(app):
    app.connect("source-read", without_links_outside)
    app.connect("autodoc-process-docstring", with_formulas_as_text, priority=400)
    app.connect("autodoc-skip-member", without_what_is_inherited)
    app.connect("build-finished", write_explorer)
