"""MkDocs hooks: pages that are kept outside docs/ become part of the website.

README.md is the start page. Links between pages are written for the repository, where GitHub and
editors follow them; for the website they are rewritten to the pages' places there.

In the pages of the API reference, ``::: package.*`` stands for all modules of a package, and
``::: package.**`` also for those of its subpackages.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

#: Pages outside docs/: their path in the repository, and in the website.
ADDED = {
    "README.md": "index.md",
    "experiments/README.md": "experiments.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_IN_REPOSITORY = {target: source for source, target in ADDED.items()}

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_MODULES = re.compile(r"^::: ([\w.]+)\.(\*\*?)$", re.M)
_FENCE = re.compile(r"^```.*?^```$", re.M | re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of `ADDED`."""
    for source, target in ADDED.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """List the modules of packages, and rewrite links.

    A link to a file of the repository that is not a page is replaced by its text.
    """
    markdown = _MODULES.sub(lambda match: _modules(match[1], match[2]), markdown)
    here = page.file.src_uri
    source = _IN_REPOSITORY.get(here, f"docs/{here}")

    def rewrite(match: re.Match[str]) -> str:
        image, text, link = match.groups()
        path, mark, section = link.partition("#")
        if not path or re.match(r"[a-z]+:", link):
            return match[0]
        in_repository = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        target = ADDED.get(in_repository, in_repository.removeprefix("docs/"))
        if files.get_file_from_path(target) is None:
            # A file of the repository without a page, or a broken link, which MkDocs reports.
            return text if (ROOT / in_repository).exists() else match[0]
        relative = posixpath.relpath(target, posixpath.dirname(here) or ".")
        return f"{image}[{text}]({relative}{mark}{section})"

    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_LINK.sub(rewrite, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(rewrite, markdown[end:])])


def _modules(package: str, wildcard: str) -> str:
    """The documentation of a package and of its public modules; ``**`` includes subpackages."""
    folder = ROOT.joinpath(*package.split("."))
    # The package's own names are those of its modules, where they are documented.
    names = [f"::: {package}\n    options: {{members: false}}"]
    pattern = "**/*.py" if wildcard == "**" else "*.py"
    for path in sorted(folder.glob(pattern), key=lambda path: (path.parent, path.name)):
        if not path.name.startswith("_"):
            names.append("::: " + ".".join(path.relative_to(ROOT).with_suffix("").parts))
    return "\n\n".join(names)
