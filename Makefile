# Everything a newcomer needs: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# One BLAS thread a call: XLA already spreads a batch over the cores. Set here, since a plugin of
# pytest loads BLAS before any file of ours can.
export OPENBLAS_NUM_THREADS := 1

.PHONY: demo test acceptance lint figures clean

demo: $(VENV)/run.stamp
	$(BIN)/scalinglab run four-regimes

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The tables of the papers, by training their networks, and the longest experiments at size smoke:
# half an hour on two cores.
acceptance: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n 2 --dist worksteal -m acceptance

lint: $(VENV)/lint.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

figures: $(VENV)/test.stamp
	for name in four-regimes duality joint-risk digits fit-bias pruning-frontier imperfect-probe easy-or-hard information-gain pruning-digits optimal-ridge-noise variance-decomposition input-noise superclass sphere-features phase-curves random-frames overlap-geometry bias-initialisation activation-density toy-geometry superposition-scaling compute-optimal momentum schedules heavy-tails quantized-weights phase-diagram approach-1-2-3 manifold-dimension aspect-ratio interpolation width-variance intrinsic-dimension; do $(BIN)/scalinglab run $$name || exit $$?; done
	$(BIN)/scalinglab figs --check

clean:
	rm -rf build dist src/scalinglab.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "scalinglab needs Python 3.11 or newer; give one as: make PYTHON=python3.12 demo"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/test.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[data,networks,test]'
	@touch $@ $(VENV)/run.stamp

$(VENV)/lint.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[data,networks,test,lint]'
	@touch $@ $(VENV)/run.stamp $(VENV)/test.stamp
