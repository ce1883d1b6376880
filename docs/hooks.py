"""MkDocs hooks: pages that are kept outside docs/ become part of the website.

README.md is the start page. Links between pages are written for the repository, where GitHub and
editors follow them; for the website they are rewritten to the pages' places there.
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
_FENCE = re.compile(r"^```.*?^```$", re.M | re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of `ADDED`."""
    for source, target in ADDED.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page; those to files that are not pages keep their text alone."""
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
