"""Pages of the site that are made at each build, into ``docs/pages``: the API by topic, a page for
each row of the ledger and for each figure, and what stands at the top of the clone.
"""
from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import os
import re
import shutil
import sys
import unicodedata
from pathlib import Path
from types import ModuleType
from typing import Any

import fastbias as fb
from fastbias import theory

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PAGES = DOCS / "pages"

# file of the page: its title, and which names of `fastbias` are on it (of modules: all their names)
TOPICS = {
    "running": ("Plans, runs, traces", ["Plan", "run", "Trace", "RunStopped", "Status"]),
    "losses": ("Losses", ["losses"]),
    "norms": ("Norms", ["norms"]),
    "potentials": ("Potentials", ["potentials"]),
    "methods": ("Methods", ["methods"]),
    "models": ("Models", ["models"]),
    "steps": ("Step sizes", ["steps"]),
    "limits": ("Limits, solved to a certificate", [
        "Limit", "NoTheorem", "max_margin", "separability", "bregman_projection", "minimum_norm",
        "l1_path", "regularisation_path", "psd_margin", "psd_separability"]),
    "theory": ("Tables of theorems", ["theory"]),
    "diagnosis": ("Which margin, and what separates", ["diagnose", "separation"]),
    "sweeps": ("Sweeps", ["sweep", "Sweep"]),
    "forward": ("Flow and fast-forward", ["forward"]),
    "data": ("Tables and features", ["data", "features"]),
    "relu": ("ReLU networks of any width", ["relu"]),
    "continual": ("One task after the other", ["continual"]),
    "proofs": ("Proofs", ["proofs"]),
    "discovery": ("Asking an optimiser itself", [
        "axioms", "identify", "hunt", "Conjecture", "bridges"]),
    "estimators": ("Estimators for scikit-learn", ["sklearn"]),
    "plots": ("Plots", ["plots"]),
    "own": ("Pieces of your own", ["piece", "laws", "abi"]),
    "c": ("The loop for C callers", ["descend", "capi"]),
}
INHERITED = {"Trace"}              # whose members are shown wherever they come from
REQUESTS = "set_fit_request, set_score_request, set_predict_request"        # scikit-learn's own


# --- text -----------------------------------------------------------------------------------------

def plain(lines: list[str]) -> list[str]:
    """Docstring lines in which |x| is no substitution, x_ no link and *x no emphasis, but in
    examples and code.
    """
    out, example = [], False
    for line in lines:
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if example:
            out.append(line)
            continue
        parts = re.split(r"(``.*?``|`[^`]*`)", line)
        parts[::2] = [re.sub(r"(?<!\\)([|*]|(?<=\w)_(?!\w))", r"\\\1", part)
                      for part in parts[::2]]
        out.append("".join(parts))
    return out


def marked(text: str) -> str:
    """A text for Markdown, in which only what stands between backticks is code."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"([\\*_{}\[\]<>#|$~])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def slug(text: str, taken: set[str]) -> str:
    """A file's name for a title, which no other has."""
    text = unicodedata.normalize("NFKD", text.replace("ℓ", "l")).encode("ascii", "ignore").decode()
    short = re.sub(r"[^a-z0-9]+", "-", text.lower())[:60].strip("-") or "row"
    name, k = short, 2
    while name in taken:
        name, k = f"{short}-{k}", k + 1
    taken.add(name)
    return name


def write(path: Path, text: str) -> None:
    """Write a page where it is not there as it is, so that Sphinx reads only what is new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    WRITTEN.add(path)


WRITTEN: set[Path] = set()


def blocked(lines: list[str]) -> list[str]:
    """Lines of a module's docstring in which what stands indented by itself is code."""
    out: list[str] = []
    for k, line in enumerate(lines):
        alone = k > 1 and not lines[k - 1] and not lines[k - 2].startswith((" ", ".."))
        if line.startswith("    ") and alone and not lines[k - 2].endswith("::"):
            out += ["::", ""]
        out.append(line)
    return out


# --- the API --------------------------------------------------------------------------------------

def below(name: str, value: Any) -> str:
    """The string under an assignment, which documents what has no docstring of its own."""
    for module in [m for key, m in sorted(sys.modules.items()) if key.startswith("fastbias")]:
        if vars(module).get(name) is not value or not getattr(module, "__file__", None):
            continue
        body = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8")).body
        for node, after in itertools.pairwise(body):
            targets = node.targets if isinstance(node, ast.Assign) else \
                [node.target] if isinstance(node, ast.AnnAssign) else []
            if name in [ast.unparse(t) for t in targets] and isinstance(after, ast.Expr) \
                    and isinstance(after.value, ast.Constant):
                return inspect.cleandoc(str(after.value.value))
    return ""


def data(name: str, home: str, lines: list[str]) -> list[str]:
    """The directive that shows a value, with what is said of it."""
    return [f".. py:data:: {name}", f"   :module: {home}", "",
            *(f"   {line}".rstrip() for line in lines), ""]


def entry(path: str, value: Any) -> list[str]:
    """The directive that shows one public name."""
    home, _, name = path.rpartition(".")
    if path.count(".") > 1 and getattr(fb, name, None) is value:
        return data(name, home, [f"The same as :py:obj:`fastbias.{name}`."])
    if inspect.isclass(value):
        members = ["   :members:", f"   :exclude-members: {REQUESTS}"]
        if name in INHERITED:
            members.append("   :inherited-members:")
        if hasattr(value, "__members__"):                           # an enumeration
            members.append("   :undoc-members:")
        elif issubclass(value, tuple):
            members = []
        return [f".. autoclass:: {path}", *members, ""]
    if callable(value) and hasattr(value, "__module__") and hasattr(value, "__name__"):
        return [f".. autofunction:: {path}", ""]
    return data(name, home, plain((below(name, value) or f"{type(value).__name__}.").splitlines()))


def module(name: str) -> ModuleType:
    """A public module by its name in the package."""
    return getattr(fb, name) if hasattr(fb, name) else importlib.import_module(f"fastbias.{name}")


def topic(file: str, title: str, names: list[str]) -> None:
    """A page of the API: modules with their docstring and all their names, or single names."""
    out = [title, "=" * len(title), "", ".. py:currentmodule:: fastbias", ""]
    for name in names:
        value = getattr(fb, name, None) or module(name)
        path = f"fastbias.{name}"
        if not isinstance(value, ModuleType):
            out += entry(path, value)
            continue
        if len(names) > 1:
            out += [path, "-" * len(path), ""]
        out += [f".. py:module:: {path}", "",
                *plain(blocked((inspect.getdoc(value) or "").splitlines())), ""]
        for inner in value.__all__:
            out += entry(f"{path}.{inner}", getattr(value, inner))
    write(PAGES / "api" / f"{file}.rst", "\n".join(out) + "\n")


def api() -> None:
    """All topics, and the page that lists them."""
    for file, (title, names) in TOPICS.items():
        topic(file, title, names)
    rows = [f"- {{doc}}`{title} <{file}>`: {', '.join(f'`{name}`' for name in names)}"
            for file, (title, names) in TOPICS.items()]
    write(PAGES / "api" / "index.md", "\n".join([
        "# All that is public", "", "`import fastbias as fb`; then, by topic:", "", *rows, "",
        "```{toctree}", ":hidden:", "", *TOPICS, "```", ""]))


# --- the ledger -----------------------------------------------------------------------------------

def ledger() -> list[tuple[str, list[list[list[str]]]]]:
    """The sections of docs/ledger.md: a title, and rows of cells of lines."""
    out = []
    for part in re.split(r"^## ", (DOCS / "ledger.md").read_text(encoding="utf-8"),
                         flags=re.M)[1:]:
        title, *lines = part.splitlines()
        rows = [[cell.strip().replace("\\|", "|").split("<br>")
                 for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
                for line in lines if line.startswith("| ")]
        out.append((title, [row for row in rows[1:] if set("".join(row[0])) - {"-", " "}]))
    return out


TABLES = (theory.ROOT, theory.MARGIN, theory.INSEPARABLE, theory.CONSTRAINED, theory.NETWORK)


def row_page(cells: list[list[str]], section: str) -> str:
    """A row of the ledger as a page."""
    statement, source, hypotheses, ran, measured, verdict = cells
    known = next((row for table in TABLES for row in table if row.name == statement[0]), None)
    reason = statement[1] if len(statement) > 1 else known.reason if known else ""
    covers = inspect.getdoc(known.covers) if known is not None else ""
    out = [f"# {marked(statement[0])}", "", f"**Verdict: {verdict[0]}.** {marked(section)}.", ""]
    if covers and covers.startswith("Whether"):
        out += ["## Whom it speaks of", "", marked(" ".join(covers.split())), ""]
    out += ["## Source", "", marked(source[0]), "", "## What it asks", ""]
    out += [f"- {marked(line)}" for line in hypotheses if line] or ["Nothing more."]
    if reason:
        out += ["", "## Where it does not hold" if known is not None and type(known).__name__
                != "Refusal" else "## Why", "", marked(reason)]
    out += ["", "## What ran, and what was measured", "", "| what ran | measured against predicted "
            "|", "| --- | --- |"]
    out += [f"| {marked(run)} | {marked(seen)} |" for run, seen in zip(ran, measured, strict=True)]
    return "\n".join([*out, "", "✓ is proved or computed, ✗ known to be false, open is what only a "
                      "run can show. All rows stand in the [ledger](index.md); `python -m "
                      "paper_figures.ledger` runs them again.", ""])


def rows() -> None:
    """A page for each row of the ledger, and the table that leads to them."""
    taken: set[str] = {"index"}
    files, out = [], [
        "# Theorems, a page each", "",
        "Every row of the tables of `fastbias.theory`: what it claims, what it asks, where it "
        "stands, what was measured. The same on [one page](../../ledger.md); how a method and a "
        "loss find their row is told in [what runs](../../methods.md).", ""]
    for section, lines in ledger():
        out += [f"## {marked(section)}", "", "| theorem or example | source | verdict |",
                "| --- | --- | --- |"]
        for cells in lines:
            file = slug(cells[0][0], taken)
            files.append(file)
            write(PAGES / "theory" / f"{file}.md", row_page(cells, section))
            out.append(f"| [{marked(cells[0][0])}]({file}.md) | {marked(cells[1][0])} "
                       f"| {cells[5][0]} |")
        out.append("")
    write(PAGES / "theory" / "index.md", "\n".join([
        *out, "```{toctree}", ":hidden:", "", *files, "```", ""]))


# --- figures, and what stands at the top of the clone ---------------------------------------------

def alts() -> dict[str, str]:
    """What each figure shows, by its name: the text of its image in the documents."""
    out = {}
    for page in [*sorted(DOCS.glob("*.md")), ROOT / "README.md"]:
        for text, name in re.findall(r"!\[([^\]]*)\]\([\w/.-]*figures/(\w+)\.png\)",
                                     page.read_text(encoding="utf-8")):
            out[name] = " ".join(text.split())
    return out


def figure_page(name: str, text: str, alt: str) -> str:
    """A figure: what to see, the picture, where it comes from, the numbers, and the code."""
    head, _, rest = text.partition("\n\n")
    rest = re.sub(r"^    (python .*)$", r"    \1", rest, flags=re.M)
    title = " ".join(head.split()).rstrip(".")
    body = "\n\n".join(marked(" ".join(part.split())) if not part.startswith("    ") else
                       "```sh\n" + inspect.cleandoc(part) + "\n```" for part in rest.split("\n\n"))
    figure = f"../../figures/{name}"
    return "\n".join([
        f"# {marked(title)}", "", *([marked(alt) + ".", ""] if alt else []),
        f"![{marked(alt or title)}]({figure}.png)", "",
        f"[The numbers (CSV)]({figure}.csv) · [as PDF]({figure}.pdf) · "
        f"[the script](../../../paper_figures/{name}.py)", "", body, "",
        "## The script", "", f"```{{literalinclude}} ../../../paper_figures/{name}.py",
        ":language: python", "```", ""])


def gallery() -> None:
    """A page for each figure, and the wall of all of them."""
    seen = alts()
    names = sorted(path.stem for path in (DOCS / "figures").glob("*.png"))
    names.sort(key=lambda name: name != "fig1")                     # the paper's own comes first
    out = ["# Gallery", "", "Every figure is drawn from runs, with theory beside it; none stores a "
           "result. Each page has the picture, what to see, its numbers and its script.", "",
           "::::{grid} 1 2 2 3", ":gutter: 3", ""]
    for name in names:
        tree = ast.parse((ROOT / "paper_figures" / f"{name}.py").read_text(encoding="utf-8"))
        text = ast.get_docstring(tree) or ""
        write(PAGES / "gallery" / f"{name}.md", figure_page(name, text, seen.get(name, "")))
        title = " ".join(text.partition("\n\n")[0].split()).rstrip(".")
        out += [":::{grid-item-card}", f":link: {name}", ":link-type: doc",
                f":img-top: ../../figures/{name}.png", f":img-alt: {seen.get(name, title)}", "",
                marked(title), ":::", ""]
    write(PAGES / "gallery" / "index.md", "\n".join([
        *out, "::::", "", "```{toctree}", ":hidden:", "", *names, "```", ""]))


# what pages of the clone name, and which page of the site that is, from docs/
SAME = {"README.md": "index.md", "CONTRIBUTING.md": "pages/contributing.md",
        "CHANGELOG.md": "pages/changelog.md",
        ".github/SECURITY.md": "pages/security.md", "bench/README.md": "pages/bench.md"}


def resited(text: str, folder: Path, page: Path) -> str:
    """The links of a page that stands in `folder` of the clone, as `page` of the site has them."""
    def link(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        found = (folder / target).resolve()
        inside = found.relative_to(ROOT).as_posix() if found.is_relative_to(ROOT) else ""
        if not inside:
            return match[0]
        place = DOCS / SAME[inside] if inside in SAME else found
        return f"]({Path(os.path.relpath(place, page.parent)).as_posix()}{anchor})"
    return re.sub(r"\]\(([\w./-]+)(#[\w-]+)?\)", link, text)


def top() -> None:
    """The pages that stand outside docs/."""
    for source, target in SAME.items():
        if source != "README.md":
            path = ROOT / source
            write(DOCS / target, resited(path.read_text(encoding="utf-8"), path.parent,
                                         DOCS / target))


def recipes() -> None:
    """The six recipes of CONTRIBUTING as a notebook."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    body = resited(text[text.index("## Six recipes"):], ROOT, PAGES / "own.md")
    body = body.replace("```python\n", "```{code-cell}\n").replace("\n### ", "\n## ")
    write(PAGES / "own.md", "\n".join([
        "---", "file_format: mystnb", "kernelspec:", "  name: python3", "---", "",
        "# Add your own", "", "A norm, a potential, a loss, a model, a method, a theorem: each is "
        "a block of code, meets all the others at once, and stands under laws that say what is "
        "wrong with it. Every block below was run when this page was built. (A norm in fifteen "
        "lines is "
        "[a page of its own](../own.md); how to set up is in "
        "[contributing](contributing.md).)", "", body.partition("\n\n")[2]]))


def make() -> None:
    """All of them; what a build before made and this one did not is gone."""
    WRITTEN.clear()
    for step in (api, rows, gallery, recipes, top):
        step()
    for path in PAGES.rglob("*"):
        if path.is_file() and path not in WRITTEN:
            path.unlink()


def copied(source: Path, target: Path) -> None:
    """Copy a folder where there is one."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
