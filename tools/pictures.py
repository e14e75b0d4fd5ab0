"""Pictures in book/_static that a chapter draws: how far each is from what the chapter shows, and how to renew it.

A cell that names a picture in its metadata (`# %% picture="flow-field.png"`) is where that file comes from. Its bytes are
another machine's, so they are not compared. Measured distances, in grey levels: 0.03 at most between native and plain
kernels, over all figures of the book; 0.6 where the map of flow-field.png has a noise level 0.1 % off, 4 for a model error
1 % off, 18 for two of the images of copies.png exchanged. LIMIT is ten times the first.
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "book" / "_static"
LIMIT = 0.3


def drawn(notebook) -> dict[str, bytes]:
    """Return {file name: png} of the pictures that an executed notebook draws."""
    return {cell.metadata["picture"]: base64.b64decode(output.data["image/png"])
            for cell in notebook.cells if "picture" in cell.metadata
            for output in cell.outputs if "image/png" in output.get("data", {})}


def distance(first: bytes, second: bytes) -> float:
    """Return the root mean square difference of the grey levels (0 to 255) of two pictures, at the smaller size.

    255 where their proportions differ by more than a hundredth: no size suits both.
    """
    pictures = [grey(content) for content in (first, second)]
    (width, height), (other_width, other_height) = sorted(picture.size for picture in pictures)
    if abs(width * other_height / (height * other_width) - 1) > 0.01:
        return 255.0
    levels = [np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS), dtype=float) for picture in pictures]
    return float(np.sqrt(np.mean((levels[0] - levels[1]) ** 2)))


def grey(content: bytes) -> Image.Image:
    """Return a picture in levels of grey, on white where it is transparent."""
    picture = Image.open(io.BytesIO(content)).convert("RGBA")
    ground = Image.new("RGBA", picture.size, "white")
    ground.alpha_composite(picture)
    return ground.convert("L")


def main(build: str) -> None:
    """Replace every picture that is further than LIMIT from what its chapter draws, and leave the others as they are."""
    sys.path.append(str(ROOT / "book" / "_ext"))
    from executed import cache_folder, chapters, executed

    for chapter in chapters():
        notebook, *_ = executed(chapter, cache_folder(chapter, Path(build).resolve()))
        for name, content in drawn(notebook).items():
            file = STATIC / name
            if file.exists() and distance(file.read_bytes(), content) <= LIMIT:
                print(f"{name} is still what {chapter.name} draws")
            else:
                file.write_bytes(content)
                print(f"{name} is renewed: look at it, then commit it")


if __name__ == "__main__":
    main(*sys.argv[1:])
