# make demo, make test: each creates .venv when missing, installs the package into it, and runs.
# Needed beforehand: Python 3.10 to 3.13 with venv, make, and a network that reaches PyPI.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint bench fuzz gallery clean

demo: .venv/installed
	$(BIN)/fusion demo -o demo/fusion
	$(BIN)/tracker demo -o demo/tracker

test: .venv/installed-test
	$(BIN)/python -m pytest -n auto

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What the kernels and the tracker gain over the published structure, in a minute or two;
# docs/speed.md has the settings of the figures that are reported.
bench: .venv/installed-test
	$(BIN)/fusion bench --size 256x256 --rounds 2
	$(BIN)/tracker bench --rounds 3 --threads 1 --runtimes eager onnx

# Thousands of malformed inputs, deaths by kill -9, full disks and a soak of 10 000 frames. A failure
# shows its smallest input and how to repeat it; the next run tries it first.
fuzz: .venv/installed-test
	RGBT_FUZZ=1 $(BIN)/python -m pytest tests/fuzz tests/hardening

# The pictures of README.md and docs/; see docs/gallery.py.
gallery: .venv/installed
	$(BIN)/python docs/gallery.py

clean:
	rm -rf .venv demo build *.egg-info .pytest_cache .hypothesis .ruff_cache .mypy_cache
	rm -f fusion/llrr/fast/_llrr*.so

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/installed: setup.py pyproject.toml $(wildcard fusion/llrr/fast/*.cpp fusion/llrr/fast/*.h) | $(BIN)/python
	$(PIP) install --editable .
	# opencv-python needs a desktop's libGL. Where there is none, its twin without windows serves.
	$(BIN)/python -c "import cv2" || \
		$(PIP) install --force-reinstall --no-deps opencv-python-headless
	touch $@

.venv/installed-test: .venv/installed
	$(PIP) install --editable '.[test]'
	touch $@
