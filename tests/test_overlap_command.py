"""`scalinglab overlap`: synthetic matrices whose overlaps are known, both formats, bad files."""

import json

import ml_dtypes
import numpy as np
import pytest

from scalinglab.__main__ import main

pytestmark = pytest.mark.usefixtures("store")

CODES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}


def write_safetensors(path, tensors):
    """The format by its description: length, JSON, data."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (code, values) in tensors.items():
        raw = np.ascontiguousarray(values.astype(CODES[code])).tobytes()
        ends = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": code, "shape": list(values.shape), "data_offsets": ends}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return str(path)


def brute(matrix):
    """Mean squared and mean overlap over all pairs of rows that are not zero."""
    rows = matrix[np.any(matrix != 0, axis=1)].astype(float)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rho = (rows @ rows.T)[~np.eye(len(rows), dtype=bool)]
    return np.mean(rho**2), np.mean(rho)


def measured(capsys, *arguments):
    assert main(["overlap", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["matrices"]


@pytest.fixture
def matrix():
    found = np.random.default_rng(0).standard_normal((300, 16)) + 0.2
    found[7] = 0
    return found


def test_a_npy_file_against_all_pairs(capsys, tmp_path, matrix):
    path = tmp_path / "head.npy"
    np.save(path, matrix)
    (found,) = measured(capsys, str(path))
    square, mean = brute(matrix)
    # Sums of 1e5 products in float64.
    assert found["mean_squared_overlap"] == pytest.approx(square, rel=1e-12)
    assert found["mean_overlap"] == pytest.approx(mean, rel=1e-12)
    assert (found["rows"], found["zero_rows"], found["width"]) == (299, 1, 16)
    assert found["welch_bound"] == pytest.approx(283 / (16 * 298))


@pytest.mark.parametrize("code", CODES)
def test_every_dtype_of_a_safetensors_file(capsys, tmp_path, matrix, code):
    """The same numbers as from the rounded entries; float32 products lose 1e-6 of the sum."""
    first = np.ones((3, 5))
    path = write_safetensors(
        tmp_path / "model.safetensors",
        {"a.weight": ("F32", first), "lm_head.weight": (code, matrix), "b": ("F32", first[0])},
    )
    (found,) = measured(capsys, path)
    assert found["matrix"] == "lm_head.weight"
    expected = brute(matrix.astype(CODES[code]).astype(float))[0]
    assert found["mean_squared_overlap"] == pytest.approx(expected, rel=1e-5)
    (ones,) = measured(capsys, path, "--tensor", "a.weight")
    assert ones["mean_squared_overlap"] == pytest.approx(1, rel=1e-6)


def test_random_and_orthonormal_rows_at_a_glance(capsys, tmp_path):
    """Random directions: m rho^2 is 1 to 4 errors of sqrt(2/pairs); an orthonormal basis: 0."""
    rows = np.random.default_rng(1).standard_normal((2000, 32))
    for name, values in (("random", rows), ("basis", np.eye(32))):
        np.save(tmp_path / f"{name}.npy", values)
    paths = [str(tmp_path / f"{name}.npy") for name in ("random", "basis")]
    found = measured(capsys, *paths)
    error = np.sqrt(2 / (2000 * 1999 / 2))
    assert found[0]["mean_squared_overlap"] * 32 == pytest.approx(1, abs=4 * error)
    assert found[1]["mean_squared_overlap"] == pytest.approx(0, abs=1e-15)
    assert main(["overlap", *paths]) == 0
    assert "random.npy  2000  32" in capsys.readouterr().out


def test_the_joint_fit_of_families(capsys, tmp_path):
    """Exact losses of two families: exponent, amplitude and offsets come back to 1e-6."""
    lines = ["width,loss,family"]
    for family, floor in (("opt", 2.0), ("pythia", 2.3)):
        lines += [f"{m},{7 * m**-0.9 + floor},{family}" for m in (256, 512, 1024, 2048)]
    path = tmp_path / "losses.csv"
    path.write_text("\n".join(lines))
    assert main(["overlap", "--losses", str(path), "--json"]) == 0
    fit = json.loads(capsys.readouterr().out)["fit"]
    assert fit["exponent"] == pytest.approx(0.9, rel=1e-6)
    assert fit["amplitude"] == pytest.approx(7, rel=1e-5)
    assert fit["offsets"] == {"opt": pytest.approx(2), "pythia": pytest.approx(2.3)}
    assert main(["overlap", "--losses", str(path)]) == 0
    assert "a = 0.9" in capsys.readouterr().out


def test_bad_files_are_one_line(refusal, tmp_path, matrix):
    assert "FILE: missing" in refusal("overlap")
    losses = str(tmp_path / "losses.csv")
    message = refusal("overlap", "--losses", losses, "--tensor", "lm_head")
    assert "--tensor: lm_head: there is no matrix" in message
    assert "no such file" in refusal("overlap", str(tmp_path / "no.npy"))
    text = tmp_path / "a.txt"
    text.write_text("x")
    assert "neither .npy nor .safetensors" in refusal("overlap", str(text))
    broken = tmp_path / "b.safetensors"
    broken.write_bytes(b"\xff" * 20)
    assert "is no safetensors file" in refusal("overlap", str(broken))
    text.rename(tmp_path / "c.npy")
    assert "is no array" in refusal("overlap", str(tmp_path / "c.npy"))
    two = {"one": ("F32", matrix), "two": ("F32", matrix)}
    path = write_safetensors(tmp_path / "d.safetensors", two)
    assert "has 2 matrices, such as one, two" in refusal("overlap", path)
    assert "did you mean 'one'" in refusal("overlap", path, "--tensor", "ones")
    cut = tmp_path / "e.safetensors"
    cut.write_bytes((tmp_path / "d.safetensors").read_bytes()[:-8])
    assert "two is cut off" in refusal("overlap", str(cut), "--tensor", "two")
    np.save(tmp_path / "f.npy", np.array([[1.0, np.nan], [1.0, 2.0]]))
    assert "row 0 has an entry that is not finite" in refusal("overlap", str(tmp_path / "f.npy"))
    np.save(tmp_path / "g.npy", np.ones(3))
    assert "shape (3,)" in refusal("overlap", str(tmp_path / "g.npy"))
