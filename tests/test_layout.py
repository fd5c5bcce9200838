"""The house: packages, bare names, the arrows between rooms, file sizes, links."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("models", "theory", "experiments", "paper_figs")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = sorted(
    path for room in (*ROOMS, "src/scalinglab/commands") for path in (ROOT / room).rglob("*.py")
) + sorted((ROOT / "src/scalinglab").glob("*.py"))
ALL = SOURCES + sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "benchmarks").rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Absolute names of everything a file imports, function bodies included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_folder_of_code_is_packaged():
    stated = set(PROJECT["tool"]["setuptools"]["packages"])
    mapped = PROJECT["tool"]["setuptools"]["package-dir"]
    found = {"scalinglab", "scalinglab.commands", "scalinglab.registry"}
    for room in ROOMS:
        for init in (ROOT / room).rglob("__init__.py"):
            found.add("scalinglab." + ".".join(init.parent.relative_to(ROOT).parts))
    assert stated == found
    assert set(mapped) == stated
    for package, folder in mapped.items():
        assert (ROOT / folder / "__init__.py").is_file(), package


def test_links_for_editors_lead_to_the_rooms():
    for room in ROOMS:
        link = ROOT / "src/scalinglab" / room
        if not link.exists():
            pytest.skip("links are absent on this file system, which is harmless")
        assert link.resolve() == (ROOT / room).resolve()


@pytest.mark.parametrize("path", ALL, ids=identify)
def test_no_bare_or_private_imports(path):
    banned = {*ROOMS, "jax._src", "jaxopt"}
    bad = {name for name in imports(path) if any((name + ".").startswith(b + ".") for b in banned)}
    assert not bad, "import scalinglab.<room>: the bare name makes a second copy of every class"


# A room to what it may not import.
ARROWS = {
    "models": ("theory", "experiments", "paper_figs", "commands", "registry"),
    "theory": ("experiments", "paper_figs", "commands", "registry"),
    "theory/fitting": (
        "models.random_features",
        "models.digits",
        "models.spectra",
        "theory.random_features",
    ),
    "experiments/engine": ("models", "theory", "paper_figs", "commands", "registry"),
    "experiments": ("paper_figs", "commands"),
    "paper_figs": ("commands", "registry"),
}


@pytest.mark.parametrize("room", ARROWS)
def test_arrows_run_one_way(room):
    for path in (ROOT / room).rglob("*.py"):
        for name in imports(path):
            for banned in ARROWS[room]:
                assert not name.startswith(f"scalinglab.{banned}"), f"{path}: {name}"


@pytest.mark.parametrize(
    # The command line and the figures may.
    "path",
    [path for path in SOURCES if not identify(path).startswith(("src/", "paper_figs/"))],
    ids=identify,
)
def test_library_code_does_not_print_plot_or_read_the_environment(path):
    text = path.read_text()
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "print" not in calls
    assert "matplotlib" not in text
    if not identify(path).startswith("experiments/engine/"):
        assert "os.environ" not in text


def test_figures_do_not_simulate():
    for path in (ROOT / "paper_figs").rglob("*.py"):
        assert ".simulate(" not in path.read_text(), path


@pytest.mark.parametrize("path", ALL, ids=identify)
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 400


def test_committed_text_names_no_machine_or_index():
    for pattern in ("*.md", "*.toml", "*.txt", "Makefile", ".ci/run"):
        for path in ROOT.glob(pattern):
            text = path.read_text()
            assert "index-url" not in text, path
            assert "/simple/" not in text, path
