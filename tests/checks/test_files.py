"""Files: whole or not at all, whoever else writes; what is read is not believed; runs are saved while they go on."""
import errno
import io
import os
import stat
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

import fastbias as fb
from fastbias.checks import files
from fastbias.running import cli
from tests.helpers import JIT

m = fb.methods
X, y = np.random.default_rng(0).normal(size=(6, 4)), np.array([1.0, -1, 1, 1, -1, 1])


def plan(done=0, data=X, **options):
    made = fb.Plan(data, y, loss="logistic", method=m.gradient_descent(fb.steps.power(0.1, 0.3)), **options)
    if done:
        made.run(done, record=2)
    return made


def saves(path):
    """The three ways to write a file, and what t it then shows."""
    yield lambda t: plan(t).save(path), lambda: fb.Plan.load(path).t
    yield lambda t: plan(t).trace.save(path), lambda: fb.Trace.load(path).t[-1]


# ---- where and how a file is written

def test_a_link_stays_and_its_target_is_up_to_date(tmp_path):
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "real.npz", tmp_path / "link.npz"
    link.symlink_to(real)                                 # dangling, at first
    for save, t in saves(link):
        for done in (3, 5):
            save(done)
            assert link.is_symlink()
            assert t() == done
            assert not real.is_symlink()
    assert fb.Plan.load(str(real) + ".previous").t == 3
    assert {p.name for p in tmp_path.rglob("*")} == {"there", "link.npz", "real.npz", "real.npz.previous"}
    ring = tmp_path / "ring.npz"
    ring.symlink_to(ring)
    for save, _ in saves(ring):
        with pytest.raises(OSError, match="symbolic links"):
            save(1)
    assert ring.is_symlink()


def test_files_have_the_mode_that_the_user_wants(tmp_path):
    before = os.umask(0o027)
    try:
        for i, (save, _) in enumerate(saves(path := tmp_path / "p.npz")):
            path.unlink(missing_ok=True)
            save(1)
            assert stat.S_IMODE(path.stat().st_mode) == 0o640
            path.chmod(0o600)
            save(2 + i)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "p.npz").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_nothing_takes_the_place_of_a_device(tmp_path):
    for save, _ in saves("/dev/null"):
        save(1)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    pipe = tmp_path / "pipe.npz"
    os.mkfifo(pipe)
    for load in (fb.Plan.load, fb.Trace.load, fb.data.read):
        with pytest.raises(ValueError, match="path must be .* it is no regular file"):
            load(pipe)


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK])
def test_file_systems_without_hard_links_or_folders_that_can_be_flushed(code, tmp_path, monkeypatch):
    def no(*args, **options):
        raise OSError(code, os.strerror(code))
    fsync = os.fsync
    monkeypatch.setattr(os, "link", no)
    monkeypatch.setattr(os, "fsync", lambda file: no() if stat.S_ISDIR(os.fstat(file).st_mode) else fsync(file))
    for done in (1, 2, 3):
        plan(done).save(tmp_path / "p.npz")
    assert fb.Plan.load(tmp_path / "p.npz").t == 3
    assert fb.Plan.load(tmp_path / "p.npz.previous").t == 2
    assert sorted(os.listdir(tmp_path)) == ["p.npz", "p.npz.previous"]


def test_temporaries_are_made_exclusively_and_follow_no_link(tmp_path, monkeypatch):
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: "0")
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".fastbias-0").symlink_to(tmp_path / "victim")
    for save, _ in saves(tmp_path / "p.npz"):
        with pytest.raises(FileExistsError):
            save(1)
        (tmp_path / ".fastbias-0").symlink_to(tmp_path / "victim")
    assert (tmp_path / "victim").read_text() == "precious"


def test_long_names_and_bad_paths(tmp_path):
    for save, t in saves(tmp_path / ("n" * 240 + ".npz")):
        save(1)
        assert t() == 1
    for bad, error in ((7, TypeError), (b"x", TypeError), ("", ValueError), ("a\0b", ValueError)):
        for call in (plan(1).save, plan(1).trace.save, fb.Plan.load, fb.Trace.load, fb.data.read):
            with pytest.raises(error, match="path must"):
                call(bad)


@pytest.mark.long
def test_two_writers_on_one_path_both_succeed_and_readers_see_whole_files(tmp_path):
    path = tmp_path / "w.npz"
    big = fb.Plan(np.random.default_rng(0).normal(size=(100, 100)), np.ones(100), loss="squared", gram=False,
                  method=m.gradient_descent(1e-4))
    big.save(path)
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            try:
                for _ in range(30):
                    big.save(path)
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(child)
    seen = 0
    while children:
        fb.Plan.load(path)
        fb.Plan.load(str(path) + ".previous") if seen else None
        seen += 1
        for child in list(children):
            if (ended := os.waitpid(child, os.WNOHANG))[0]:
                assert ended[1] == 0
                children.remove(child)
    assert seen > 3
    assert sorted(os.listdir(tmp_path)) == ["w.npz", "w.npz.previous"]


# ---- what is read

def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def zipped(members, **how):
    """A container of raw members: (name, bytes)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **how) as archive:
        for name, body in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = how.get("compression", zipfile.ZIP_STORED)
            archive.writestr(info, body)
    return buffer.getvalue()


def npy(header, body=b"", version=b"\1\0"):
    text = header.encode() + b" " * 7 + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\1\0" else "<I", len(text)) + text + body


def bombs():
    good = npz(X=np.eye(2), y=np.ones(2))
    whole = zipped([("y.npy", npz(y=np.ones(1))), ])      # (no array at all)
    yield "no array", whole
    Y = ("y.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", b"\0" * 8))
    for header in ("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }",
                   "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 1099511627776), }",
                   "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1), }",
                   "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1, ), }" + " " * 20000,
                   "{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }",
                   "{'descr': '<U0', 'fortran_order': False, 'shape': (1099511627776, 1), }",
                   "{'descr': '|V0', 'fortran_order': False, 'shape': (1099511627776, 1), }",
                   "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1, 1), }",
                   "{'descr': ('<f8', (1000000000000,)), 'fortran_order': False, 'shape': (1, 1), }",
                   "{'descr': '<c16', 'fortran_order': False, 'shape': (1, 1), }",
                   "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1, 1), }",
                   "{'descr': '<f8', 'fortran_order': 7, 'shape': (1, 1), }",
                   "{'descr': '<f8', 'fortran_order': False, 'shape': 1, }", "{'descr': '<f8'}", "{", "1L", "((((((((" * 900,
                   "{'descr': '<f8', 'fortran_order': False, 'shape': (1L, 1L), }x", "__import__('os')", "'\\d'"):
        yield header[:60], zipped([("X.npy", npy(header, b"\0" * 8)), Y])
    yield "version 3", zipped([("X.npy", npy("{}", version=b"\3\0")), Y])
    yield "empty", zipped([("X.npy", b""), Y])
    yield "claims to be deflated", bytes(good).replace(b"\0\0" + good[10:12], b"\x08\0" + good[10:12])
    for method in (1, 12, 14, 93, 99):                     # (bzip2, LZMA, Zstandard, ...)
        changed = bytearray(good)
        changed[good.find(b"PK\1\2") + 10] = changed[8] = method
        yield f"method {method}", bytes(changed)
    for bits in (1, 32, 64):
        changed = bytearray(good)
        changed[good.find(b"PK\1\2") + 8] |= bits
        changed[6] |= bits
        yield f"flags {bits}", bytes(changed)
    body = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), }", b"\0" * 8)
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped([("X.npy", body), ("X.npy", body), Y])
    yield "twice", twice
    yield "twice by name", zipped([("X.npy", body), ("X", body), Y])
    # a deflated member that claims 2⁴⁰ bytes, and one that has far more than it claims
    packed = zipped([("X.npy", body), Y], compression=zipfile.ZIP_DEFLATED)
    at = packed.find(b"PK\1\2") + 24
    for size in (2 ** 32 - 2, 2 ** 31, len(body) - 1):
        yield f"claims {size}", packed[:at] + struct.pack("<I", size) + packed[at + 4:]
    yield "text", zipped([("X.npy", npy("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", b"\xff" * 4)), Y])
    for cut in (0, 3, 50, len(good) // 2, len(good) - 1):
        yield f"cut at {cut}", good[:cut]


BOMBS = dict(bombs())


@pytest.mark.parametrize("name", BOMBS)
def test_files_that_lie_are_refused_in_one_sentence_and_cost_nothing(name, tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(BOMBS[name])
    tracemalloc.start()
    try:
        for load in (fb.data.read, fb.Trace.load, fb.Plan.load):
            with pytest.raises(ValueError, match="^path must (be|name) ") as told:
                load(path)
            assert "\n" not in str(told.value)
            assert len(str(told.value)) < 1000
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


def test_a_member_that_holds_more_than_it_claims_costs_nothing(tmp_path):
    body = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), }", b"\0" * 8)
    raw = zipped([("X.npy", body + b"\0" * 10 ** 8), ("y.npy", npy(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", b"\0" * 8))], compression=zipfile.ZIP_DEFLATED)
    at = raw.find(b"PK\1\2")
    (tmp_path / "x.npz").write_bytes(raw[:at + 16] + struct.pack("<I", zlib.crc32(body)) + raw[at + 20:at + 24]
                                     + struct.pack("<I", len(body)) + raw[at + 28:])
    tracemalloc.start()
    try:
        assert fb.data.read(tmp_path / "x.npz").X.tolist() == [[0.0]]
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


def test_a_flipped_bit_of_plain_data_is_refused_or_changes_nothing(tmp_path):
    raw, path = npz(X=X, y=y), tmp_path / "x.npz"
    refused = 0
    for i in range(0, len(raw), 1 if JIT else 7):
        changed = bytearray(raw)
        changed[i] ^= 1 << i % 8
        path.write_bytes(changed)
        told = ""
        try:
            found = fb.data.read(path)
        except ValueError as error:
            told = str(error)
        if told:
            assert told.startswith("path must be a whole NPZ file")
            refused += 1
        else:
            assert found.X.tobytes() == X.tobytes()
            assert found.y.tobytes() == y.tobytes()
    assert refused > 500 / (1 if JIT else 7)


def test_arrays_of_all_plain_kinds_are_read_as_numpy_reads_them(tmp_path):
    arrays = {"X": np.asfortranarray(X), "y": y.astype(">f4"), "n": np.array(7), "b": np.array([True, False]), "e": X[:0],
              "u": np.array(["a", "bc"]), "s": np.array([b"a"]), "i": np.arange(3, dtype=np.uint8), "3": X.reshape(2, 3, 4)}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", **arrays)
        back = files.read(tmp_path / "x.npz", "a file")
        assert set(back) == set(arrays)
        for name, a in arrays.items():
            assert back[name].dtype == a.dtype.newbyteorder("=")
            assert back[name].shape == a.shape
            assert back[name].flags.c_contiguous
            assert (back[name] == a).all()
    d = fb.data.read(tmp_path / "x.npz")                  # whose other arrays are nobody's business
    assert d.X.tobytes() == X.tobytes()


def test_traces_carry_a_digest_and_old_ones_are_still_read(tmp_path):
    path, trace = tmp_path / "t.npz", plan(20).trace
    trace.save(path)
    raw = path.read_bytes()
    for i in range(0, len(raw), 1 if JIT else 9):
        changed = bytearray(raw)
        changed[i] ^= 1 << i % 8
        path.write_bytes(changed)
        with pytest.raises(ValueError, match="Trace.save wrote.*its digest does not fit its bytes"):
            fb.Trace.load(path)
    path.write_bytes(npz(t=trace.t, u=trace.u, w=trace.w, log_loss=trace.log_loss, status=np.int64(0),
                         message=np.array("x")))
    assert fb.Trace.load(path).w.tobytes() == trace.w.tobytes()


@pytest.mark.parametrize(("name", "value"), [
    ("t", None), ("more", np.ones(3)), ("t", np.arange(3)), ("u", np.ones((3, 4), complex)), ("w", np.ones(3)),
    ("w", np.full((2, 4), np.nan)), ("u", np.full((2, 4), np.inf)), ("t", np.array([1, 2], np.int8)),
    ("status", np.int64(99)), ("log_loss", np.ones(3)), ("message", np.array(["a", "b"])), ("message", np.int64(3)),
    ("status", np.array([0])),
    ("slack", np.ones(2)), ("log_times", np.ones(3)), ("u", np.ones((2, 4), np.float32)), ("w", np.ones((2, 2, 2, 2)))])
def test_traces_whose_arrays_do_not_fit_are_refused(name, value, tmp_path):
    path, trace = tmp_path / "t.npz", plan(20).trace
    arrays = {"t": trace.t[:2], "u": trace.u[:2], "w": trace.w[:2], "log_loss": trace.log_loss[:2], "status": np.int64(0),
              "message": np.array("x")}
    path.write_bytes(files.seal(arrays))
    assert fb.Trace.load(path).t.tolist() == trace.t[:2].tolist()
    path.write_bytes(files.seal({k: v for k, v in (arrays | {name: value}).items() if v is not None}))
    with pytest.raises(ValueError, match="^path must be a file that Trace.save wrote"):
        fb.Trace.load(path)


@pytest.mark.parametrize(("raw", "said"), [
    (b"a,b\n1," + b"9" * 200000, "field larger than field limit .* in line 2"), (b"a,b\n1,\0\n", "NUL in line 2"),
    (b"\0" * 100, "NUL in line 1"), ("a,b\n1,2\n".encode("utf-16"), "UTF-8"), (b"a,\xff\n1,2\n", "UTF-8"),
    (b"a,b\n1," + b"9" * 100000, "finite")])
def test_tables_that_are_none_are_refused_in_one_sentence(raw, said, tmp_path, capsys):
    path = tmp_path / "x.csv"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=said):
        fb.data.read(path)
    assert cli.main(["margin", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_names_that_no_file_can_have_and_names_without_room_for_previous(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, trace = plan(5), plan().run(5)
    run.save("whole.npz")
    for name in ("half \ud800.npz", "whole.npz/", "", "\0"):
        for call in (run.save, trace.save, fb.Plan.load, fb.Trace.load, fb.data.read, lambda p: plan().run(1, checkpoint=p)):
            with pytest.raises(ValueError, match="must name a file, got"):
                call(name)
    for _ in range(2):                                       # 246 + len(".previous") = 255, the longest name there is
        run.save("a" * 246)
        run.save("b" * 250)
        run.save("n\udcff.npz")                              # bytes that are no text
        run.run(3)
    assert fb.Plan.load("b" * 250).t == fb.Plan.load("n\udcff.npz").t == 8
    assert sorted(os.listdir()) == sorted(["whole.npz", "a" * 246, "a" * 246 + ".previous", "b" * 250, "n\udcff.npz",
                                           "n\udcff.npz.previous"])


@pytest.mark.parametrize("change", [{"t": [-3, -2, -1]}, {"t": [3, 2, 1]}, {"log_times": [1.0, np.nan, 2.0]},
                                    {"log_times": [3.0, 2.0, 1.0]}, {"log_times": [0.0, 1.0, np.inf]}])
def test_traces_whose_rows_are_not_in_the_order_of_time_are_refused(change, tmp_path):
    told = {"t": np.arange(3), "u": np.ones((3, 2)), "w": np.ones((3, 2)), "log_loss": np.zeros(3), "status": np.int64(0),
            "message": np.array("")}
    files.write(str(tmp_path / "t.npz"), files.seal(told | {k: np.array(v) for k, v in change.items()}))
    with pytest.raises(ValueError, match="rows must be in the order of time"):
        fb.Trace.load(tmp_path / "t.npz")
