"""Check that every page of _toc.yml was built, and say where the book is."""

import sys
from pathlib import Path

from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).resolve().parent.parent


def pages() -> list[str]:
    """Return the built file of each page of the table of contents, relative to the folder html of a build."""
    return [f"{name.removesuffix('.py')}.html" for name in parse_toc_yaml(ROOT / "_toc.yml")]


if __name__ == "__main__":
    html = Path(sys.argv[1], "html")
    missing = [page for page in pages() if not (html / page).is_file()]
    if missing:
        sys.exit(f"nearsight: the book lacks {', '.join(missing)}, which _toc.yml names.")
    print(f"The book is built: {len(pages())} pages, open {html / 'index.html'}")
