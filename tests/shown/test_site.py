"""The site: every public name, theorem and figure has its page; and, where it is built (`make docs`), a browser reads it:
nothing is missing, nothing asks another server, the search finds.
"""
import functools
import http.server
import importlib.util
import json
import re
import threading
import types
import urllib.parse
import zlib

import pytest

import fastbias as fb
from fastbias.theory import CONSTRAINED, INSEPARABLE, MARGIN, NETWORK
from fastbias.theory import ROOT as POINTS
from tests.helpers import ROOT
from tests.helpers.browser import Browser, found

DOCS = ROOT / "docs"
HTML = DOCS / "_build" / "html"
SOURCES = [path for pattern in ("fastbias/**/*.py", "docs/*.*", "docs/tutorials/*.md", "paper_figures/*.py", "*.md")
           for path in ROOT.glob(pattern)]


def stands():
    """Whether the site is built, of what is there now."""
    there = HTML / "objects.inv"
    return there.exists() and there.stat().st_mtime > max(path.stat().st_mtime for path in SOURCES)


built = pytest.mark.skipif(not stands(), reason="the site is not built, or older than its sources: make docs")
read = pytest.mark.skipif(found() is None, reason="no Chromium here (Debian: apt-get install chromium)")


def public():
    """All names of `fastbias`, and those of its modules."""
    for name in fb.__all__:
        value = getattr(fb, name)
        yield f"fastbias.{name}"
        if isinstance(value, types.ModuleType):
            yield from (f"fastbias.{name}.{inner}" for inner in value.__all__)


@pytest.fixture(scope="module")
def pages():
    spec = importlib.util.spec_from_file_location("_pages", DOCS / "_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_has_its_topic(pages):
    told = [name for _, names in pages.TOPICS.values() for name in names]
    assert len(set(told)) == len(told)
    assert set(told) == set(fb.__all__) | {"sklearn"}


def test_every_row_of_theory_has_a_page_and_every_cell_its_place(pages):
    names = {cells[0][0] for _, rows in pages.ledger() for cells in rows}
    assert names >= {row.name for table in (POINTS, MARGIN, INSEPARABLE, CONSTRAINED, NETWORK) for row in table}
    for section, rows in pages.ledger():
        for cells in rows:
            text = pages.row_page(cells, section)
            assert text.count("\n| `") == len(cells[3])
            for part in (cells[1][0], *cells[2]):
                assert pages.marked(part) in text


def test_every_figure_says_what_to_see(pages):
    told = pages.alts()
    for path in (DOCS / "figures").glob("*.png"):
        assert len(told[path.stem]) > 40, path


def test_docstrings_are_no_markup(pages):
    assert pages.plain(["|x| and ``|x|`` of x_ and *args", ">>> a | b", "c | d", "", "|y|"]) == [
        "\\|x\\| and ``|x|`` of x\\_ and \\*args", ">>> a | b", "c | d", "", "\\|y\\|"]
    assert pages.marked("a_b `c_d` ‖w‖ | <e>") == "a\\_b `c_d` ‖w‖ \\| \\<e\\>"


def inventory():
    """What objects.inv lists."""
    data = (HTML / "objects.inv").read_bytes()
    for _ in range(4):
        data = data.partition(b"\n")[2]
    return {line.split(" ")[0] for line in zlib.decompress(data).decode().splitlines()}


@built
@pytest.mark.long
def test_every_public_name_is_on_the_site():
    assert [name for name in public() if name not in inventory()] == []


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that does not tell what it is asked."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(HTML)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as there:
        yield there


SEEN = """({images: [...document.images].map(i => (i.loading = "eager", i.decode().then(() => "", () => i.src))),
            links: [...document.querySelectorAll("a[href]")].map(a => a.href),
            ids: [...document.querySelectorAll("[id]")].map(e => e.id)})"""
SEEN = f"(async () => {{ const seen = {SEEN}; seen.images = await Promise.all(seen.images); return JSON.stringify(seen) }})()"


@built
@pytest.mark.long
@read
def test_a_browser_finds_every_page_whole(site, browser):
    links, ids, wrong = {}, {}, []
    for path in sorted(HTML.rglob("*.html")):
        name = path.relative_to(HTML).as_posix()
        if name.startswith(("_static/", "live/")):            # of the theme; live pages have tests of their own
            continue
        browser.visit(site + name)
        seen = json.loads(browser.ask(SEEN))
        wrong += [f"{name}: {what}" for what in (*browser.said(), *filter(None, seen["images"]))]
        wrong += [f"{name} asks {url}" for url in browser.requested() if not url.startswith((site, "data:"))]
        ids[site + name] = set(seen["ids"])
        for url in seen["links"]:
            links.setdefault(url, name)
    assert len(ids) > 100
    for url, name in links.items():
        target, _, anchor = url.partition("#")
        there = target.startswith(site) and HTML / urllib.parse.unquote(target[len(site):].partition("?")[0] or "index.html")
        if there and not there.exists():
            wrong.append(f"{name} leads to {url}")
        elif anchor and urllib.parse.unquote(anchor) not in ids.get(target, {urllib.parse.unquote(anchor)}):
            wrong.append(f"{name} leads to no such place: {url}")
        elif not there:
            assert re.match(r"https://|mailto:", url), url    # another server's, which is not asked
    assert wrong == []


@built
@pytest.mark.long
@read
def test_the_search_finds_a_name_and_a_theorem(site, browser):
    for words, place in (("max_margin", "pages/api/limits.html"), ("Theorem 7", "pages/theory/"), ("muesli", "tables.html")):
        browser.visit(f"{site}search.html?q={urllib.parse.quote(words)}")
        browser.until("document.querySelectorAll('#search-results li a').length > 0")
        browser.until(f"[...document.querySelectorAll('#search-results li a')].some(a => a.href.includes('{place}'))")


@built
@pytest.mark.long
@read
@pytest.mark.parametrize("width", [1280, 400])
def test_no_page_is_wider_than_the_window(site, browser, width):
    browser.dress(width)
    for name in ("index", "methods", "ledger", "pages/api/methods", "pages/gallery/fig1", "pages/theory/index"):
        browser.visit(f"{site}{name}.html")
        assert browser.ask("document.documentElement.scrollWidth") <= width, name
