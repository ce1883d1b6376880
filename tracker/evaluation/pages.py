"""Self-contained HTML pages from the templates in the folder `templates`."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fusion.base.files import whole_file

_TEMPLATES = Environment(
    loader=PackageLoader(__package__, "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.policies["json.dumps_kwargs"] = {"separators": (",", ":")}


def write_html(template: str, path: str | Path, **values: Any) -> None:
    """Write a page completely or not at all.

    Args:
        template: file name of the template.
        values: what its expressions refer to. Texts are escaped.

    Raises:
        UserError: the file cannot be written.
    """
    page = _TEMPLATES.get_template(template).render(values)
    with whole_file(Path(path)) as temporary:
        temporary.write_text(page, encoding="utf-8")
