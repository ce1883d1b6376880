# Every target creates .venv if it is missing, installs the package into it, and runs.
# Requirements: Python 3.10 to 3.13 with venv, make, and access to PyPI.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

export NO_MKDOCS_2_WARNING := 1

.PHONY: demo test lint docs bench fuzz soak gallery clean

demo: .venv/installed
	$(BIN)/fusion demo -o demo/fusion
	$(BIN)/tracker demo -o demo/tracker

test: .venv/installed-test
	$(BIN)/python -m pytest -n auto

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m mkdocs build --strict

# The documentation website, in site/: docs/, README.md and the API reference.
docs: .venv/installed-test
	$(BIN)/python -m mkdocs build --strict

# Compare the kernels and the tracker with the published structure, in a minute or two. docs/speed.md
# has the settings of the reported figures.
bench: .venv/installed-test
	$(BIN)/fusion bench --size 256x256 --rounds 2
	$(BIN)/tracker bench --rounds 3 --threads 1 --runtimes eager onnx

# Thousands of malformed inputs, processes ended by kill -9, full disks and a run over 10 000 frames.
# A failure prints its smallest input and how to reproduce it; the next run starts with that input.
fuzz: .venv/installed-test
	RGBT_FUZZ=1 $(BIN)/python -m pytest tests/fuzz tests/hardening

# Ten minutes of live fusion of two streams with faults: latency, memory, mispaired frames.
soak: .venv/installed-test
	$(BIN)/python tests/hardening/live_soak.py

# Draw the images of README.md and docs/; see docs/gallery.py.
gallery: .venv/installed
	$(BIN)/python docs/gallery.py

clean:
	rm -rf .venv demo site build *.egg-info .pytest_cache .hypothesis .ruff_cache .mypy_cache
	rm -f fusion/llrr/fast/_llrr*.so

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/installed: setup.py pyproject.toml $(wildcard fusion/llrr/fast/*.cpp fusion/llrr/fast/*.h) | $(BIN)/python
	$(PIP) install --editable .
	# opencv-python needs libGL, which servers often lack; the headless variant does not.
	$(BIN)/python -c "import cv2" || \
		$(PIP) install --force-reinstall --no-deps opencv-python-headless
	touch $@

.venv/installed-test: .venv/installed
	$(PIP) install --editable '.[test]'
	touch $@
