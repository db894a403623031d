"""Sparse data in files: what scipy.sparse has of a CSR matrix, in an NPZ file, from Python and the command line."""
import numpy as np
import pytest
import scipy.sparse as sp

import fastbias as fb
from fastbias.running import cli

RNG = np.random.default_rng(0)
X = sp.csr_matrix(RNG.normal(size=(20, 30)) * (RNG.random((20, 30)) < 0.2))
Y = np.where(X @ np.linspace(-1, 1, 30) >= 0, 1, 0)
PARTS = {"X_data": X.data, "X_indices": X.indices, "X_indptr": X.indptr, "X_shape": X.shape, "y": Y}


def test_a_sparse_matrix_is_read(tmp_path):
    np.savez(tmp_path / "a.npz", **PARTS)
    found = fb.data.read(tmp_path / "a.npz", labels="binary")
    assert sp.issparse(found.X)
    assert abs(found.X - X).max() == 0
    assert found.y.tolist() == (2 * Y - 1).tolist()
    assert found.names[:2] == ("x0", "x1")
    assert len(found.names) == 30


@pytest.mark.parametrize("wrong", [{"X_indices": X.indices + 1}, {"X_indptr": X.indptr[:-1]}, {"X_shape": (20, 5)},
                                   {"X_shape": (20,)}, {"X_data": X.data[1:]}, {"X_data": X.data * np.nan}])
def test_what_is_no_matrix_is_refused(wrong, tmp_path):
    np.savez(tmp_path / "a.npz", **PARTS | wrong)
    with pytest.raises(ValueError, match="of a.npz must be the arrays of a sparse matrix by rows"):
        fb.data.read(tmp_path / "a.npz")


def test_the_command_line_runs_on_it(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", **PARTS)
    np.savez(tmp_path / "b.npz", X=X.toarray(), y=Y)
    told = []
    for name in ("a", "b"):
        assert cli.main(["run", str(tmp_path / f"{name}.npz"), "--loss", "logistic", "--method", "gradient", "--steps", "50",
                         "--quiet"]) == 0
        told.append([line for line in capsys.readouterr().out.splitlines() if "where it went" in line or "columns" in line])
    assert told[0] == told[1]
    assert len(told[0]) == 2
