"""Executed notebooks on their pages: each chapter's own cache, pages read anew when it changed, and the download."""

from pathlib import Path

import nbformat
from executed import cache_folder, executed

CACHES: dict[str, Path] = {}  # of each page that is a chapter, as its sources are in this build


def outdated(app, env, added, changed, removed):
    """Name the chapters whose outputs rest on other sources than when their pages were read."""
    for name in env.found_docs:
        source = Path(env.doc2path(name))
        if source.suffix == ".py":
            CACHES[name] = cache_folder(source, Path(app.outdir).parent)
    return [name for name, folder in CACHES.items() if env.metadata[name].get("executed") != folder.name]


def choose_cache(app, docname, source):
    """Point MyST-NB at the cache of the chapter that it is about to read."""
    if docname in CACHES:
        app.env.metadata[docname]["executed"] = CACHES[docname].name
        app.env.mystnb_config = app.env.mystnb_config.copy(execution_cache_path=str(CACHES[docname]))


def rewrite_prose(app, env):
    """Prose pages may show numbers and figures of any chapter, so they are always written anew."""
    return [name for name in env.found_docs if env.doc2path(name).endswith(".md")]


def offer_notebook(app, pagename, templatename, context, doctree):
    """Put the executed notebook beside the page's script, in the download menu of the theme.

    It comes out of the cache: the copy in _build/jupyter_execute has no outputs where the cache was used.
    """
    if doctree is not None and pagename in CACHES:
        notebook, *_ = executed(Path(app.env.doc2path(pagename)), CACHES[pagename])
        context["ipynb_source"] = f"{pagename}.ipynb"
        target = Path(app.outdir, "_sources", context["ipynb_source"])
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target)


def setup(app):
    app.connect("env-get-outdated", outdated)
    app.connect("source-read", choose_cache)
    app.connect("env-updated", rewrite_prose)
    app.connect("html-page-context", offer_notebook)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
