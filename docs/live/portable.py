"""A process in which the package is compiled for any machine: no instruction beyond the first of
its kind, no loop that LLVM made vectors of, and the mathematical functions of the C library that
the web build has.

``python portable.py FOLDER`` compiles the loop and all pieces so, and writes the LLVM that they
were made of, before any machine was thought of. Other scripts `enter` before they import fastbias.
"""
from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LIBM = ("exp", "exp2", "expm1", "log", "log1p", "sinh", "cosh", "asinh", "erfc", "cos", "pow",
        "hypot")
"""What compiled code calls of a C library, and libraries round differently."""


def environment(folder: Path) -> dict[str, str]:
    """What a process must be started with; compiled functions are kept in the folder."""
    return os.environ | {
        "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_LOOP_VECTORIZE": "0",
        "NUMBA_SLP_VECTORIZE": "0", "NUMBA_DISABLE_JIT": "0",
        "NUMBA_CACHE_DIR": str(folder / "cache"), "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE.parents[1]),
                                                    os.environ.get("PYTHONPATH", "")]))}


def run(folder: Path, script: Path, *arguments: str) -> None:
    """Run a script so; CalledProcessError where it fails."""
    subprocess.run([sys.executable, str(script), str(folder), *arguments], check=True,
                   env=environment(folder))


def enter(folder: Path) -> None:
    """Have compiled code of this process call the functions of ``libm.so`` in the folder."""
    import llvmlite.binding as llvm
    if os.environ.get("NUMBA_CPU_NAME") != "generic":
        raise SystemExit("portable: the process must be started by portable.run")
    from numba.core.registry import cpu_target
    _ = cpu_target.target_context     # (names those of the system, once: the last word is ours)
    library = ctypes.CDLL(str(folder / "libm.so"))
    for name in LIBM:
        llvm.add_symbol(name, ctypes.cast(getattr(library, f"live_{name}"), ctypes.c_void_p).value)


def pieces() -> dict[str, Any]:
    """All pieces of the package, by file and name: "norms.vectors._lp_steepest"."""
    import importlib
    import pkgutil

    import fastbias.pieces
    from fastbias.engine.abi import Piece
    found = {}
    for module in pkgutil.walk_packages(fastbias.pieces.__path__, "fastbias.pieces."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Piece) and value.function.__module__ == module.name:
                found[f"{module.name.removeprefix('fastbias.pieces.')}.{name}"] = value
    return dict(sorted(found.items()))


def compiled(folder: Path) -> None:
    """Compile all, and write FOLDER/ir/NAME.ll and FOLDER/ir/names.json, the C names in them."""
    from numba.core.ccallback import CFunc
    from numba.core.codegen import JITCodeLibrary
    from numba.core.sigutils import normalize_signature
    written: dict[int, str] = {}
    finalize = JITCodeLibrary._finalize_specific

    def noted(library: Any) -> None:
        # before machine code is made of it: LLVM that has been through that is of the machine
        written[id(library)] = str(library._final_module)
        finalize(library)
    JITCodeLibrary._finalize_specific = noted
    from fastbias.engine import c_face
    todo = {"descend": (c_face._descend_c, c_face._C)}
    todo |= {name: (piece.function, piece.signature) for name, piece in pieces().items()}
    (folder / "ir").mkdir(exist_ok=True)
    names = {}
    for name, (function, signature) in todo.items():
        # (not through the cache, which keeps no LLVM of these; what they call it has)
        made = CFunc(function, normalize_signature(signature), locals={},
                     options={"error_model": "numpy"})
        made.compile()
        names[name] = made._wrapper_name
        (folder / "ir" / f"{name}.ll").write_text(written[id(made._library)])
    # last: whoever finds it finds all
    (folder / "ir" / "names.json").write_text(json.dumps(names))


if __name__ == "__main__":
    enter(Path(sys.argv[1]))
    compiled(Path(sys.argv[1]))
