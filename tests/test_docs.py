"""The documentation is correct as far as it can be tested: links, commands, examples."""

import ast
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from pages import blocks, file_name, write_files

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "experiments/*.md", ".github/**/*.md")
    for path in ROOT.glob(pattern)
)
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands(text: str) -> list[str]:
    """Command lines of fenced blocks: after ``$`` where there is output too, else every line."""
    found = []
    for language, content in blocks(text):
        if language == "python":
            continue
        lines = content.replace("\\\n", " ").splitlines()
        shown = [line[2:] for line in lines if line.startswith("$ ")]
        found += shown or lines
    return found


def of_program(program: str) -> list[str]:
    """Every command of a program in all pages, once."""
    lines = (line for name in NAMES for line in commands(text_of(name)))
    return sorted({line.strip() for line in lines if line.startswith(f"{program} ")})


# --- Links ----------------------------------------------------------------------------------------


def anchor(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def broken_links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, section = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not (target == page or target.is_relative_to(ROOT)):
            broken.append(link)
        elif section:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.M)
            if section not in map(anchor, headings):
                broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_and_pictures_lead_somewhere(page):
    assert not broken_links(page)


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Here\n[a](none.md) [b](#here) [c](#there) ![d](no.jpg) [e](https://x.y)\n")
    assert broken_links(page) == ["none.md", "#there", "no.jpg"]


def test_every_page_is_linked_from_the_readme():
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)\)", text_of("README.md")))
    assert linked == {name for name in NAMES if name.startswith("docs/")}


PACKAGES = ("fusion", "tracker")


def subpackages(package: str) -> set[str]:
    """Folders of a package, relative to the repository."""
    return {
        path.parent.relative_to(ROOT).as_posix()
        for path in (ROOT / package).glob("*/**/__init__.py")
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_the_architecture_page_explains_every_folder(package):
    """Folders of a package have a row of their own; folders within one are named in its row."""
    page = text_of("docs/architecture.md")
    rows = dict(re.findall(rf"^\| `({package}/\w+)/` \| (.+) \|$", page, flags=re.M))
    folders = subpackages(package)
    assert set(rows) == {folder for folder in folders if folder.count("/") == 1}
    for folder in folders - set(rows):
        parent, _, name = folder.partition("/")[2].partition("/")
        assert f"`{name.split('/')[0]}/`" in rows[f"{package}/{parent}"], folder


def test_the_api_reference_covers_every_folder():
    """``::: package.*`` documents the modules of a folder, ``**`` those of its subfolders too."""
    entries = {
        entry
        for path in (ROOT / "docs" / "reference").glob("*.md")
        for entry in re.findall(r"^::: (\S+)$", path.read_text(encoding="utf-8"), flags=re.M)
    }
    for package in PACKAGES:
        for folder in subpackages(package) - {f"{package}/commands/cli"}:
            name = folder.replace("/", ".")
            parent = name.rpartition(".")[0]
            assert entries & {f"{name}.*", f"{name}.**", f"{parent}.**"}, folder


@pytest.mark.parametrize("name", NAMES)
def test_files_named_in_the_pages_exist(name):
    """Paths below the repository's folders, as in ``tests/test_docs.py``."""
    folders = (*PACKAGES, "tests", "experiments", "docs", "vot_workspace")
    named = re.findall(rf"(?<![\w/.-])((?:{'|'.join(folders)})/[\w/.-]+\.\w+)", text_of(name))
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_tables_in_docstrings_are_indented(package):
    """Markdown would take a line of ``=`` for the underline of a heading in the API reference."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                text = ast.get_docstring(node) or ""
                assert not re.search(r"^=+( +=+)*$", text, flags=re.M), path


def test_every_picture_of_the_pages_is_small_and_shown():
    pictures = {path.name for path in (ROOT / "docs").iterdir() if path.suffix in (".jpg", ".svg")}
    shown = {
        Path(link).name
        for name in NAMES
        for link in re.findall(r"!\[.*?\]\((.+?)\)", text_of(name))
    }
    assert shown == pictures
    for name in pictures:
        assert (ROOT / "docs" / name).stat().st_size < 400_000, name


# --- Commands -------------------------------------------------------------------------------------

TRAININGS = ("train", "distill")  # LightningCLI parses their arguments


def arguments_of(line: str) -> list[str]:
    line = re.sub(r" #.*$", "", line)
    return shlex.split(line)[1:]


def parse(program: str, line: str) -> None:
    """Parse a command line with the program's own parser, and run nothing."""
    from fusion.commands.cli import _parser as fusion_parser
    from tracker.commands.cli import _parser as tracker_parser
    from tracker.commands.cli import _with_joined_box

    arguments = re.sub(r"--import \S+", "", line)  # taken out before any parser
    arguments = arguments_of(arguments)
    if program == "tracker":
        tracker_parser().parse_args(_with_joined_box(arguments))
        return
    known, rest = fusion_parser().parse_known_args(arguments)
    assert not rest or "training" in known, f"unknown options {rest}"


@pytest.mark.parametrize("program", ["fusion", "tracker"])
def test_commands_of_the_pages_parse(program):
    lines = [line for line in of_program(program) if arguments_of(line)[0] not in TRAININGS]
    assert len(lines) > 10
    for line in lines:
        try:
            parse(program, with_values(line))
        except SystemExit as error:
            assert error.code == 0, f"{line}: does not parse"


def with_values(line: str) -> str:
    """A usage line with numbers instead of ``x,y,w,h``."""
    return line.replace("x,y,w,h", "1,2,3,4")


def test_an_unknown_option_is_found(capsys):
    with pytest.raises(SystemExit):
        parse("tracker", "tracker track rgb ir -o out --no-such-option")
    with pytest.raises(AssertionError, match="no-such-option"):
        parse("fusion", "fusion fuse ir vis -o out --no-such-option")


@pytest.fixture
def nothing_runs(monkeypatch, tmp_path, registries):
    """LightningCLI parses and validates a configuration, and builds and trains nothing.

    The current folder has the experiments, and the files that the pages show.
    """
    from lightning.pytorch.cli import LightningCLI

    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    for name in NAMES:
        write_files(text_of(name), tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def build_nothing(cli):
        cli.model = cli.datamodule = None

    monkeypatch.setattr(LightningCLI, "instantiate_classes", build_nothing)
    monkeypatch.setattr(LightningCLI, "_run_subcommand", lambda self, name: None)


@pytest.mark.parametrize("program", ["fusion", "tracker"])
def test_trainings_of_the_pages_parse(program, nothing_runs, monkeypatch):
    from fusion.commands.cli.train import train as train_fusion
    from tracker.commands.cli.train import distill
    from tracker.commands.cli.train import train as train_tracker

    run = {
        ("fusion", "train"): train_fusion,
        ("tracker", "train"): train_tracker,
        ("tracker", "distill"): distill,
    }
    lines = [line for line in of_program(program) if arguments_of(line)[0] in TRAININGS]
    assert len(lines) > 3
    for line in lines:
        try:
            run[program, arguments_of(line)[0]](arguments_of(line)[1:])
        except Exception as error:
            raise AssertionError(f"{line}: {error}") from error


def test_an_unknown_key_of_a_training_is_found(nothing_runs):
    from fusion.base.errors import UserError
    from fusion.commands.cli.train import train

    with pytest.raises(UserError, match="no_such"):
        train(["fit", "--config", "experiments/fusion/saliency.yaml", "--data.no_such", "1"])


def test_make_targets_of_the_pages_exist():
    targets = set(re.findall(r"^(\w+):", text_of("Makefile"), flags=re.M))
    asked = {
        line.split()[1] for name in NAMES for line in commands(text_of(name)) if line[:5] == "make "
    }
    assert asked and asked <= targets


# --- Python ---------------------------------------------------------------------------------------


WITH_PYTHON = [name for name in NAMES if any(kind == "python" for kind, _ in blocks(text_of(name)))]


@pytest.mark.parametrize("name", WITH_PYTHON)
def test_examples_run(name, tmp_path, monkeypatch, rng, registries):
    """A page's blocks, one after the other, beside an ``ir.png``, a ``vis.jpg`` and the files that
    the page shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    write_files(text_of(name), tmp_path)
    cv2.imwrite("ir.png", rng.integers(0, 256, (32, 40), np.uint8))
    cv2.imwrite("vis.jpg", rng.integers(0, 256, (32, 40, 3), np.uint8))
    names: dict = {"__name__": "example"}
    for kind, content in blocks(text_of(name)):
        if kind == "python" and file_name(content) is None:
            code = content.replace('load_network("lrrnet.model")', "load_network()")
            exec(compile(code, name, "exec"), names)
