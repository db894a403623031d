"""``make web``: the live pages, in docs/live/build. See docs/live.md.

    python docs/live/make.py [--module-only]

What is compiled on the way stands in docs/live/.made, in a folder named by a digest of the sources,
and is not compiled again while these are the same.
"""
from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import llvmlite
import numba
import portable
import wasm

HERE = Path(__file__).resolve().parent
MADE, BUILD, WEB = HERE / ".made", HERE / "build", HERE / "web"
PACKAGE = HERE.parents[1] / "fastbias"
TRIED = "0.68."                       # of Numba, on whose internals this build stands
SHARED = ("engine.js", "theory.js", "view.js")
PAGES = ("geometries", "figure1", "potentials", "kernel", "boosting")
LIMIT = 500_000                       # bytes of a page, what all share apart


def _digest(paths: Iterable[Path]) -> str:
    """Of sources, and of what compiles them."""
    said = hashlib.blake2b(f"{numba.__version__} {llvmlite.__version__}".encode(), digest_size=8)
    for path in sorted(paths):
        said.update(f"{path.relative_to(HERE.parents[1])} {path.stat().st_size} ".encode())
        said.update(path.read_bytes())
    return said.hexdigest()


def module() -> Path:
    """The folder with ``fastbias.wasm``, ``names.json`` and ``libm.so`` of the sources as they
    are.
    """
    if not numba.__version__.startswith(TRIED):
        raise wasm.Unlike(f"Numba {numba.__version__} is not {TRIED}*, which this build was tried "
                          "with: pip install 'fastbias[web]'")
    folder = MADE / _digest([*PACKAGE.rglob("*.py"), HERE / "portable.py"])
    linked = folder / f"linked-{_digest([HERE / 'wasm.py', *HERE.glob('*.c')])}"
    if linked.exists():
        return folder
    begin = time.perf_counter()
    if not (folder / "ir" / "names.json").exists():
        shutil.rmtree(MADE, ignore_errors=True)           # of other sources
        folder.mkdir(parents=True)
        wasm.libm(folder)
        portable.run(folder, HERE / "portable.py")
    compiled = time.perf_counter()
    wasm.libm(folder)
    for old in folder.glob("linked-*"):
        old.unlink()
    names = wasm.module(folder)
    (folder / "names.json").write_text(json.dumps(names))
    linked.touch()                                        # last: whoever finds it finds all
    print(f"make web: {len(names)} pieces and the loop, {compiled - begin:.0f} s to compile them, "
          f"{time.perf_counter() - compiled:.0f} s to link "
          f"{(folder / 'fastbias.wasm').stat().st_size:,} bytes")
    return folder


def _title(page: Path) -> str:
    """What a page is called."""
    return page.read_text().partition("<title>")[2].partition(" – fastbias</title>")[0]


def _links(here: str, tag: str) -> str:
    """Links to all pages, as the line above a page or the list of the first one."""
    found = []
    for name in ("index", *PAGES):
        page = WEB / f"{name}.html"
        if page.exists() and (tag == "nav" or name != "index"):
            now = ' aria-current="page"' if page.name == here else ""
            link = f'<a href="{page.name}"{now}>{_title(page)}</a>'
            told = page.read_text().partition('name="description" content="')[2].partition('"')[0]
            found.append(link if tag == "nav" else f"<li>{link}<br>{told}</li>")
    return f"<{tag}>" + "\n".join(found) + f"</{tag}>"


def pages(folder: Path) -> None:
    """Write docs/live/build: what all pages share in one script, and each page with its plans.

    Pages that are there already are left alone: somebody may be reading them.
    """
    linked = next(folder.glob("linked-*"))
    written = folder / f"pages-{_digest([*WEB.iterdir(), *HERE.glob('*.py'), linked])}"
    if written.exists() and BUILD.exists():
        return
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir()
    # (a script and no file to be fetched, so that pages also open from a folder)
    packed = base64.b64encode(gzip.compress((folder / "fastbias.wasm").read_bytes(), mtime=0))
    names = (folder / "names.json").read_text()
    shared = [(WEB / name).read_text() for name in SHARED]
    (BUILD / "fastbias.js").write_text("\n".join([
        *shared, f"fastbias.packed = {{ wasm: \"{packed.decode()}\", names: {names} }};\n"]))
    for path in WEB.iterdir():
        if path.suffix == ".html":
            text = path.read_text().replace("<!-- nav -->", _links(path.name, "nav"))
            (BUILD / path.name).write_text(text.replace("<!-- list -->", _links(path.name, "ul")))
        elif path.name not in SHARED:
            shutil.copy(path, BUILD)
    portable.run(folder, HERE / "plans.py", str(BUILD))
    for page in BUILD.glob("*.html"):
        size = sum(path.stat().st_size for path in BUILD.glob(f"{page.stem}.*"))
        if size > LIMIT:
            raise SystemExit(f"make web: {page.name} and its scripts take {size:,} bytes, over "
                             f"{LIMIT:,}")
    for old in folder.glob("pages-*"):
        old.unlink()
    written.touch()


if __name__ == "__main__":
    made = module()
    if "--module-only" not in sys.argv[1:]:
        pages(made)
