"""From LLVM that Numba wrote for a 64-bit machine to one WebAssembly module that imports nothing.

What is assumed of it is looked at, and the build stops where it is not so: see `Unlike`.
"""
from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

HERE = Path(__file__).resolve().parent
TRIPLE = "wasm32-unknown-unknown"
FEATURES = "+simd128,+bulk-memory,+sign-ext,+nontrapping-fptoint,+mutable-globals"
MATH = ("exp", "exp_data", "exp2", "log", "log_data", "log1p", "pow", "pow_data", "expm1", "sinh",
        "cosh", "__expo2", "asinh", "hypot", "erf", "rint", "scalbn", "frexp", "__cos", "__sin",
        "__rem_pio2", "__rem_pio2_large", "__math_divzero", "__math_invalid", "__math_oflow",
        "__math_uflow", "__math_xflow")
STACK = 1 << 18
PAGE = 4096                          # as `fastbias.engine.arguments` has it
LIBRARIES = ("numba_ez_", "numba_xx")              # LAPACK and BLAS
MATRICES = ("norms.matrices.", "potentials.coupled._spectral")    # whose pieces stay at home
LEAST = 120                           # parts there are at least: fewer, and something was not found
# what runtime.c and the C library have
HAVE = {"NRT_MemInfo_alloc_aligned", "NRT_MemInfo_call_dtor", "numba_attempt_nocopy_reshape",
        "numba_frexp", "numba_ldexp", "exp", "log", "log1p", "pow", "expm1", "exp2", "sinh", "cosh",
        "asinh", "hypot", "erfc", "cos", "sqrt", "floor", "rint"}
NOTHING = {"numba_gil_ensure", "numba_gil_release", "NRT_Free"}   # there is no one to wait for
DECLARED = re.compile(r"^declare (?:[a-z]+ )*?(\S+|\{[^}]*\}) @\"?([\w.]+)\"?\(([^)]*)\)", re.M)
DECREMENT = re.compile(r"  (%\S+) = (?:tail )?call i8 @llvm\.x86\.atomic\.sub\.cc\.i64"
                       r"\(ptr[^%]*(%[^,]+), i64 1, i32 4\)[^\n]*")
PAUSE = re.compile(r"\n  (?:tail )?call void @llvm\.x86\.sse2\.pause\(\)[^\n]*")


class Unlike(SystemExit):
    """What Numba or LLVM wrote is not what this build knows how to turn into WebAssembly."""

    def __init__(self, what: str) -> None:
        super().__init__(f"make web: {what}; docs/live/wasm.py has to be looked at")


def _rewritten(text: str, triple: str, layout: str) -> str:
    """LLVM for another machine: what names this one goes, what lies in memory stays where it is."""
    text = re.sub(r"target triple = .*", f'target triple = "{triple}"', text)
    text = re.sub(r"target datalayout = .*", f'target datalayout = "{layout}"', text)
    text = re.sub(r"= common (local_unnamed_addr )?global", "= internal global", text)
    text = re.sub(r'"target-(cpu|features)"="[^"]*"', "", text)
    count = iter(range(sys.maxsize))

    def decrement(found: re.Match[str]) -> str:
        result, place, i = found[1], found[2], next(count)
        return (f"  %web{i}a = load i64, ptr {place}\n  %web{i}b = sub i64 %web{i}a, 1\n"
                f"  store i64 %web{i}b, ptr {place}\n  %web{i}c = icmp eq i64 %web{i}b, 0\n"
                f"  {result} = zext i1 %web{i}c to i8")
    text = PAUSE.sub("", DECREMENT.sub(decrement, text))
    # places in memory were counted for pointers of eight bytes: room is made for such
    return re.sub(r"(?<== alloca )[^\n]*?(?=, align)", lambda m: re.sub(r"\bptr\b", "i64", m[0]),
                  text)


def _checked(name: str, text: str) -> None:
    """Stop where a part of LLVM asks for what there is none of, or counts places by our types."""
    left = re.search(r"call [^\n]*@(llvm\.(?:x86|aarch64)[\w.]*)", text)
    if left:
        raise Unlike(f"{name} calls {left[1]}")
    # (a structure with a pointer in it has other places here than where its LLVM was written)
    for line in re.findall(r"getelementptr [^\n]*", text):
        kind = re.match(r"getelementptr (?:inbounds |nuw |nusw )*(\{.*?\}|\[.*?\]|\S+), ptr", line)
        if kind is None or "ptr" in kind[1]:
            raise Unlike(f"{name} has a place in a structure of pointers: {line[:80]}")


def _emitted(parts: dict[str, str], names: dict[str, str], machine: Any, out: Path) -> None:
    """Write an object for each part, all but its own function hidden."""
    for name, text in parts.items():
        module = llvm.parse_assembly(text)
        module.verify()
        own = [f for f in module.functions if f.name == names[name]]
        if len(own) != 1:
            raise Unlike(f"{name} has {len(own)} functions of its name")
        for function in module.functions:
            if not function.is_declaration and function.name != names[name]:
                function.linkage = "internal"
        own[0].name = name if name == "descend" else f"piece:{name}"
        (out / f"{name}.o").write_bytes(machine.emit_object(module))


def _stubs(parts: Iterable[str]) -> str:
    """LLVM of what compiled code names and nobody calls: Python, errors, and helpers of threads."""
    found, globals_ = {}, set()
    for text in parts:
        globals_ |= set(re.findall(r'^@"?([\w.]+)"? = external', text, re.M))
        for result, name, arguments in DECLARED.findall(text):
            if not name.startswith("llvm.") and name not in HAVE:
                found[name] = (result, arguments)
    lines = ["declare void @llvm.trap()"]
    for name, (result, arguments) in sorted(found.items()):
        kinds = ", ".join(re.match(r"\s*(\{[^}]*\}|\S+)", a)[1]            # type: ignore[index]
                          for a in arguments.split(",") if a.strip())
        body = "unreachable"
        if name in NOTHING:
            body = "ret void" if result == "void" else f"ret {result} 0"
        else:
            body = "call void @llvm.trap()\n  " + body
        lines.append(f"define {result} @{name}({kinds}) {{\n  {body}\n}}")
    return "\n".join(lines + [f"@{name} = global i64 0" for name in sorted(globals_)]) + "\n"


def _table(names: Iterable[str]) -> str:
    """LLVM of the addresses of all pieces, in the order of their names."""
    names = list(names)
    return "".join(f'declare void @"piece:{n}"()\n' for n in names) + (
        f"@table = constant [{len(names)} x ptr] ["
        + ", ".join(f'ptr @"piece:{n}"' for n in names) + "]\n")


def zig(command: str) -> list[str]:
    """A command of the C compiler and linkers that ``pip install ziglang`` brings."""
    try:
        import ziglang
    except ImportError:
        raise SystemExit("make web: needs ziglang: pip install 'fastbias[web]'") from None
    return [str(Path(ziglang.__file__).with_name("zig")), command]


def _library() -> Path:
    """Where the C library is that comes with the linker."""
    return Path(zig("cc")[0]).parent / "lib" / "libc"


def _c(target: str) -> list[str]:
    """How C is compiled for any machine: no product and sum become one instruction."""
    musl = _library() / "musl"
    folders = [musl / "src/internal", musl / "src/include", musl / "arch/generic",
               _library() / "include/generic-musl", _library() / "include/wasm-wasi-musl"]
    flags = ["-O2", "-ffp-contract=off", "-fno-builtin", "-nostdlib"]
    return [*zig("cc"), "-target", target, *flags,
            *(flag for folder in folders for flag in ("-isystem", str(folder)))]


def _sources() -> list[Path]:
    """The mathematical functions in C."""
    return [HERE / "mathematics.c",
            *(_library() / "musl" / "src" / "math" / f"{name}.c" for name in MATH)]


def libm(folder: Path) -> None:
    """Make ``libm.so``, the mathematical functions of the module for this machine."""
    subprocess.run([*_c(f"{platform.machine()}-linux-musl"), *map(str, _sources()), "-DLIVE",
                    "-shared", "-fPIC", "-fvisibility=hidden", "-s",
                    "-o", str(folder / "libm.so")], check=True)


def _linked(objects: list[str], out: Path) -> None:
    """Link objects and the C beside them; pieces begin behind the addresses that the loop takes for
    none.
    """
    for source in (HERE / "runtime.c", *_sources()):
        objects.append(str(out.with_name("objects") / f"_c_{source.stem}.o"))
        # (a file a call: of several the compiler writes the first alone)
        subprocess.run([*_c("wasm32-freestanding"), "-mcpu=generic+simd128+bulk_memory+sign_ext",
                        "-c", str(source), "-o", objects[-1]], check=True)
    exported = (f"--export={name}" for name in ("descend", "table", "__heap_base"))
    subprocess.run([*zig("wasm-ld"), *objects, *exported, "--no-entry", "--strip-all",
                    "--gc-sections", f"--table-base={PAGE}", "-z", f"stack-size={STACK}",
                    "--stack-first", "-o", str(out)], check=True)


def _sections(module: bytes) -> list[int]:
    """Which sections a WebAssembly module has: 2 are imports."""
    found, at = [], 8
    while at < len(module):
        found.append(module[at])
        size, shift, at = 0, 0, at + 1
        while True:                                       # a number, seven bits a byte
            size |= (module[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if module[at - 1] < 128:
                break
        at += size
    return found


def _taken(parts: dict[str, str]) -> dict[str, str]:
    """The parts but for pieces that call LAPACK; stop where one does that was not thought of."""
    left = {name for name, text in parts.items() if any(f"@{lib}" in text for lib in LIBRARIES)}
    strange = [name for name in left if not name.startswith(MATRICES)]
    if strange or len(parts) - len(left) < LEAST:
        raise Unlike(f"of {len(parts)} parts {len(left)} call LAPACK, {strange} among them")
    return {name: text for name, text in parts.items() if name not in left}


def module(folder: Path) -> list[str]:
    """Link FOLDER/fastbias.wasm of FOLDER/ir; the names of the pieces in it."""
    names: dict[str, str] = json.loads((folder / "ir" / "names.json").read_text())
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(
        opt=3, features=FEATURES, reloc="static")
    layout, out = str(machine.target_data), folder / "objects"
    parts = _taken({name: (folder / "ir" / f"{name}.ll").read_text() for name in names})
    parts = {name: _rewritten(text, TRIPLE, layout) for name, text in parts.items()}
    for name, text in parts.items():
        _checked(name, text)
    out.mkdir(exist_ok=True)
    _emitted(parts, names, machine, out)
    pieces = [name for name in parts if name != "descend"]
    head = f'target triple = "{TRIPLE}"\ntarget datalayout = "{layout}"\n'
    for name, text in (("stubs", _stubs(parts.values())), ("table", _table(pieces))):
        (out / f"_{name}.o").write_bytes(machine.emit_object(llvm.parse_assembly(head + text)))
    _linked([str(out / f"{name}.o") for name in (*parts, "_stubs", "_table")],
            folder / "fastbias.wasm")
    if 2 in _sections((folder / "fastbias.wasm").read_bytes()):
        raise Unlike("the module imports something")
    return pieces
