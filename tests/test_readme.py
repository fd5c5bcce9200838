"""The README's Python runs, and its example is the file that the law suite checks."""

import re
from pathlib import Path

import pytest

from scalinglab.experiments import run_experiment
from scalinglab.registry import load_experiment

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    """Against a store of size smoke, the only change made to the text."""
    monkeypatch.chdir(tmp_path)
    run_experiment(load_experiment("four-regimes"), size="smoke", store="results")
    script = "\n".join(block for block in BLOCKS if "MODEL = Model(" not in block)
    assert script.count('load("four-regimes")') == 1
    names = {}
    exec(script.replace('load("four-regimes")', 'load("four-regimes", "smoke")'), names)
    assert set(names["datasets"]) == {
        f"{kind}_{side}" for kind in ("variance", "resolution") for side in ("data", "features")
    }
    # Limit min(b - 1, 2a) = 1.5 at a = 1.5, b = 2.5; at 1e4 samples the correction falls as
    # D^-(2a - b + 1), 1e-6.
    assert float(names["data_exponent"]) == pytest.approx(1.5, abs=1e-3)
    assert "within" in capsys.readouterr().out


def test_the_example_is_short():
    example = [block for block in BLOCKS if "MODEL = Model(" in block]
    assert len(example) == 1
    assert len(example[0].splitlines()) <= 60


def test_every_picture_is_there():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / path).is_file(), path


def test_python_of_the_fitting_page_runs(capsys):
    """The fit of the page, and the law of one's own."""
    page = (ROOT / "docs" / "fitting.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names = {}
    exec("\n".join(blocks), names)
    assert names["found"].status == 0
    assert names["LAW"].names == ("A", "alpha", "E")
    assert "chinchilla" in capsys.readouterr().out
    for path in re.findall(r"!\[.*?\]\((.*?)\)", page):
        assert (ROOT / "docs" / path).is_file(), path
