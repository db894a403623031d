"""What a long solve says of itself while it goes on."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastbias import checks
from fastbias.checks import foreign

__all__ = ["Tell", "silent", "told"]

Tell = Callable[[str], object]


def silent(_text: str) -> None:
    """Say nothing."""


@contextmanager
def told(progress: bool, what: str) -> Iterator[Tell]:
    """A function that shows, beside what is done, how far that is: a tqdm bar without an end."""
    if not checks.flag("progress", progress):
        yield silent
        return
    with foreign.library("tqdm.auto").tqdm(desc=what, unit="round", leave=False) as bar:
        def tell(text: str) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update()
        yield tell
