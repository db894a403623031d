"""The site: ``make docs`` builds it into docs/_build/html."""
from __future__ import annotations

import importlib.metadata as metadata
import shutil
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import _pages  # noqa: E402

import fastbias  # noqa: E402

project = "fastbias"
author = copyright = "The fastbias developers"
release = version = fastbias.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc", "myst_nb", "sphinx_design"]
exclude_patterns = ["_build", "live", "examples", "**/.ipynb_checkpoints"]
language = "en"
default_role = "py:obj"
show_warning_types = True

# --- docstrings: as they stand, without a list of types beside each argument
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
add_module_names = False
toc_object_entries_show_parents = "hide"

# --- Markdown, and notebooks that are run at the build
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

# --- how it looks; nothing is fetched from elsewhere
html_theme = "pydata_sphinx_theme"
html_title = "fastbias"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_sidebars = {"index": [], "pages/gallery/*": []}
WIDE = ("ledger", "figures/atlas", "methods", "networks", "promises", "pages/theory/index",
        "pages/gallery/index")             # which have tables, and no room beside them
html_theme_options = {
    "show_toc_level": 2,
    # (of pages that match several of these the last one counts)
    "secondary_sidebar_items": {"**": ["page-toc"]} | {page: [] for page in WIDE},
    "navigation_depth": 3,
    "header_links_before_dropdown": 5,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
if (DOCS / "live" / "build").is_dir():
    html_theme_options["external_links"] = [{"name": "Live pages", "url": "live/index.html"}]
MATHJAX = "tex-svg.js"                     # one file, which needs no fonts
mathjax_path = f"mathjax/{MATHJAX}"


def _escaped(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text: |x| is an absolute value."""
    lines[:] = _pages.plain(lines)


def _resited(app: Any, name: str, source: list[str]) -> None:
    """Links to pages of the clone lead to those of the site."""
    page = DOCS / f"{name}.md"
    if page.exists() and not name.startswith("pages/"):
        source[0] = _pages.resited(source[0], page.parent, page)


def _beside(app: Any, error: Exception | None) -> None:
    """What is no page: MathJax from its package, and the live pages where they are built."""
    if error is not None or app.builder.name != "html":
        return
    files = metadata.files("sphinx-mathjax-offline") or []
    [script] = [file for file in files if file.name == MATHJAX]
    target = Path(app.outdir) / "_static" / "mathjax"
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(str(script.locate()), target / MATHJAX)
    _pages.copied(DOCS / "live" / "build", Path(app.outdir) / "live")


def setup(app: Any) -> None:
    """Make the pages before Sphinx looks for them."""
    _pages.make()
    app.connect("autodoc-process-docstring", _escaped, priority=100)
    app.connect("source-read", _resited)
    app.connect("build-finished", _beside)
