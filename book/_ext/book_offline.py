"""MathJax travels with the book, so that it reads offline: one script and its fonts out of a pip package."""

import importlib.util
import shutil
from pathlib import Path


def copy_mathjax(app):
    """Copy the script that `mathjax_path` names and the fonts it asks for: 2 MB of the package's 23."""
    if app.builder.format != "html":
        return
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    source = Path(package.origin).parent / "static" / "mathjax"
    target = Path(app.outdir, "_static", "mathjax")
    fonts = "output/chtml/fonts/woff-v2"
    shutil.copytree(source / fonts, target / fonts, dirs_exist_ok=True)
    shutil.copyfile(source / Path(app.config.mathjax_path).name, target / Path(app.config.mathjax_path).name)


def setup(app):
    app.connect("builder-inited", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
