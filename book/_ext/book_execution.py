"""Executed notebooks: when they are executed anew, and where a reader finds them.

Jupyter's execution cache knows a notebook's cells and not the library they call. Here the cache's folder carries a
digest of everything else that an output depends on, so that no page shows an output of an older library.
"""

import hashlib
import shutil
from pathlib import Path

import jupytext
import nbformat
from jupyter_cache import get_cache

INPUTS = ("lib/nearsight", "book/recorded", "requirements.lock")


def digest(root: Path) -> str:
    """Return a SHA-256 over the names and contents of every file that the notebooks may read."""
    total = hashlib.sha256()
    for path in (root / name for name in INPUTS):
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                total.update(f"{file.relative_to(root).as_posix()}\0{file.stat().st_size}\0".encode())
                total.update(file.read_bytes())
    return total.hexdigest()


def cache_folder(root: Path) -> Path:
    """Return the folder of the executed notebooks that belong to the sources as they are now."""
    return root / "_build" / "executed" / digest(root)[:16]


def key_the_cache(app, config):
    """Point the execution cache at its folder (a new one re-reads every page) and drop the outdated ones."""
    current = cache_folder(Path(app.srcdir))
    config.nb_execution_cache_path = str(current)
    for folder in current.parent.glob("*"):
        if folder != current:
            shutil.rmtree(folder)


def rewrite_prose(app, env):
    """Prose pages may show numbers and figures of any chapter, so they are always written anew."""
    return [name for name in env.found_docs if env.doc2path(name).endswith(".md")]


def offer_notebook(app, pagename, templatename, context, doctree):
    """Put the executed notebook beside the page's script, in the download menu of the theme.

    It comes out of the cache: the copy in _build/jupyter_execute has no outputs where the cache was used.
    """
    source = Path(app.env.doc2path(pagename))
    if doctree is not None and source.suffix == ".py":
        cache = get_cache(app.config.nb_execution_cache_path)
        _, executed = cache.merge_match_into_notebook(jupytext.read(source, fmt="py:percent"))
        context["ipynb_source"] = f"{pagename}.ipynb"
        target = Path(app.outdir, "_sources", context["ipynb_source"])
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(executed, target)


def setup(app):
    app.connect("config-inited", key_the_cache)
    app.connect("env-updated", rewrite_prose)
    app.connect("html-page-context", offer_notebook)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
