"""Executed notebooks on their pages: each chapter's own cache, pages read anew when it changed, and the download."""

from pathlib import Path

import nbformat
from executed import cache_folder, executed


def chapter_of(app, docname):
    """Return (script, its cache folder) of a page that is a chapter, None of another page."""
    source = Path(app.env.doc2path(docname))
    return (source, cache_folder(source, Path(app.outdir).parent)) if source.suffix == ".py" else None


def outdated(app, env, added, changed, removed):
    """Name the chapters whose outputs rest on other sources than when their pages were read."""
    return [name for name in env.found_docs
            if (found := chapter_of(app, name)) and env.metadata[name].get("executed") != found[1].name]


def choose_cache(app, docname, source):
    """Point MyST-NB at the cache of the chapter that it is about to read."""
    if found := chapter_of(app, docname):
        app.env.metadata[docname]["executed"] = found[1].name
        app.env.mystnb_config = app.env.mystnb_config.copy(execution_cache_path=str(found[1]))


def rewrite_prose(app, env):
    """Prose pages may show numbers and figures of any chapter, so they are always written anew."""
    return [name for name in env.found_docs if env.doc2path(name).endswith(".md")]


def offer_notebook(app, pagename, templatename, context, doctree):
    """Put the executed notebook beside the page's script, in the download menu of the theme.

    It comes out of the cache: the copy in _build/jupyter_execute has no outputs where the cache was used.
    """
    if doctree is not None and (found := chapter_of(app, pagename)):
        notebook, *_ = executed(found[0], Path(app.outdir).parent)
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
