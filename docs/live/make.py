"""``make web``: the live pages, in docs/live/build. See README.md beside this file.

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
    linked = folder / _digest([HERE / "wasm.py", *HERE.glob("*.c")])
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
    names = wasm.module(folder)
    (folder / "names.json").write_text(json.dumps(names))
    linked.touch()                                        # last: whoever finds it finds all
    print(f"make web: {len(names)} pieces and the loop, {compiled - begin:.0f} s to compile them, "
          f"{time.perf_counter() - compiled:.0f} s to link "
          f"{(folder / 'fastbias.wasm').stat().st_size:,} bytes")
    return folder


def pages(folder: Path) -> None:
    """Write docs/live/build: what all pages share in one script, and each page with its plans."""
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir()
    # (a script and no file to be fetched, so that pages also open from a folder)
    packed = base64.b64encode(gzip.compress((folder / "fastbias.wasm").read_bytes(), mtime=0))
    names = (folder / "names.json").read_text()
    shared = [(WEB / name).read_text() for name in SHARED]
    (BUILD / "fastbias.js").write_text("\n".join([
        *shared, f"fastbias.packed = {{ wasm: \"{packed.decode()}\", names: {names} }};\n"]))
    for path in WEB.iterdir():
        if path.name not in SHARED:
            shutil.copy(path, BUILD)
    portable.run(folder, HERE / "plans.py", str(BUILD))
    for page in BUILD.glob("*.html"):
        size = sum(path.stat().st_size for path in BUILD.glob(f"{page.stem}.*"))
        if size > LIMIT:
            raise SystemExit(f"make web: {page.name} and its scripts take {size:,} bytes, over "
                             f"{LIMIT:,}")


if __name__ == "__main__":
    made = module()
    if "--module-only" not in sys.argv[1:]:
        pages(made)
