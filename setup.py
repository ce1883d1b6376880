"""Package definition. Build, lint and test settings are in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, find_packages, setup

REQUIREMENTS = [
    # Loads every published checkpoint with `weights_only`, and has `torch.device` contexts.
    "torch>=2.4",
    "torchvision>=0.19",  # the release that belongs to torch 2.4
    "numpy>=1.26",
    "opencv-python>=4.9",
    "pillow>=11.3",  # AVIF
    "av>=14.1",  # videos: `VideoFrame.rotation`
    # 0.8 and 0.9 cannot run multistart experiments, which VOT2020-RGBT is.
    "vot-toolkit>=0.7.4,<0.8",
    # vot-toolkit's declarative fields; 0.1.10 breaks it on Python 3.11 and newer.
    "attributee<0.1.10",
    "shapely>=2.0",
    "pyyaml>=6.0",
    "safetensors>=0.4",
    "tqdm>=4.66",
    "jinja2>=3.1",  # HTML pages; PyTorch needs it too
    "matplotlib>=3.8",
    "lightning>=2.6",  # averaged weights
    "jsonargparse[signatures]>=4.28",  # what LightningCLI needs for its configurations
    "tensorboard>=2.15",
    "torchmetrics>=1.0",  # metrics as classes; Lightning needs it too
    "scipy>=1.11",  # transforms and ranks of the metrics
    # The steerable filters that wavelet-domain VIF is defined on.
    "pyrtools>=1.0.4",
]

# For `fusion export` and `tracker export`, and for running the tracker by ONNX Runtime.
EXPORT_REQUIREMENTS = [
    "torch>=2.6",  # names of dynamic axes
    "onnx>=1.16",
    "onnxruntime>=1.18",
    "onnxscript>=0.3",
]

# For `fusion app`.
APP_REQUIREMENTS = [
    "nicegui>=3.18,<4",  # with FastAPI
    "httpx>=0.28,<1",
]

# For `make docs`. MkDocs 2 drops the plugins that the website uses.
DOCS_REQUIREMENTS = [
    "mkdocs>=1.6,<2",
    "mkdocs-material>=9.6,<10",
    "mkdocstrings[python]>=1,<2",
]

# For `make test` and `make lint`. Pinned, because new releases of a checker report other problems
# and new releases of a formatter change the format.
TEST_REQUIREMENTS = [
    *EXPORT_REQUIREMENTS,
    *APP_REQUIREMENTS,
    *DOCS_REQUIREMENTS,
    "pytest>=8,<10",
    "pytest-xdist>=3.5,<4",
    "hypothesis>=6.100,<7",
    "ruff>=0.17,<0.18",
    "mypy>=2.4,<2.5",
    "import-linter>=2.3,<3",
    "types-PyYAML>=6.0,<7",
    "types-tqdm>=4.66,<5",
    "selenium>=4.20,<5",  # the app's tests, in Chromium
    # Second implementations to test against.
    "scikit-image>=0.22,<0.27",
]

# LRRNet's CPU kernel: a shared library without a Python module's entry point, loaded by
# fusion/llrr/fast/cpu.py. It is optional: without a compiler, PyTorch is used instead.
KERNEL = Extension(
    "fusion.llrr.fast._llrr",
    sources=[f"fusion/llrr/fast/{name}.cpp" for name in ("llrr", "baseline", "avx2", "avx512")],
    depends=["fusion/llrr/fast/llrr.h", "fusion/llrr/fast/kernel.h"],
    language="c++",
    # These follow Python's own flags, which may include -O2. No flag names an instruction set,
    # because the sources do.
    extra_compile_args=["-std=c++17", "-O3", "-ffp-contract=fast", "-fvisibility=hidden"],
    extra_link_args=["-pthread"],
    optional=True,
)

setup(
    name="rgbt-lrrnet",
    version="0.1.0",
    description="Visible and thermal image fusion and tracking by learned low-rank parts",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.10,<3.14",
    packages=[
        *find_packages(include=["fusion", "fusion.*", "tracker", "tracker.*"]),
        "tracker.vot_workspace",
    ],
    # The workspace template is at the top level, where people look for it, and is installed inside
    # the package, where `tracker vot init` finds it.
    package_dir={"tracker.vot_workspace": "vot_workspace"},
    ext_modules=[KERNEL],
    package_data={
        "fusion": ["py.typed", "networks/pretrained/*.safetensors", "live/page/*"],
        "tracker": [
            "py.typed",
            "model/pretrained/*.safetensors",
            "app/browser/*",
            "evaluation/templates/*.html",
        ],
        "tracker.vot_workspace": ["*.yaml", "*.ini", ".gitignore"],
    },
    install_requires=REQUIREMENTS,
    extras_require={
        "export": EXPORT_REQUIREMENTS,
        "app": APP_REQUIREMENTS,
        "docs": DOCS_REQUIREMENTS,
        "test": TEST_REQUIREMENTS,
    },
    entry_points={
        "console_scripts": [
            "fusion = fusion.commands.cli:main",
            "tracker = tracker.commands.cli:main",
        ],
        # A command of `fusion` that needs `tracker`; see fusion/commands/cli/plugins.py.
        "fusion.commands": ["app = tracker.app.command:add_app"],
    },
)
