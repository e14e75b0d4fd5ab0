"""The library as a wheel: it carries its data, and keeps its records where a user can write."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cells import reuse
from conftest import ROOT

pytestmark = pytest.mark.slow
PROGRAM = """
import nearsight.page
from nearsight import __version__, records
from nearsight.datasets import fashion_mnist
nearsight.page.use_style()
print(__version__, len(fashion_mnist("report").images), records.ROOT)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the wheel was installed and nothing else, from a copy of the sources that stays as it is."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site-packages")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "lib", source / "lib", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
                    "--disable-pip-version-check", "--target", target, source], check=True, capture_output=True)
    return target


def test_it_carries_data_style_and_types_and_writes_elsewhere(installed, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(installed), "XDG_DATA_HOME": str(tmp_path)}
    environment.pop("NEARSIGHT_RECORDS", None)
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, cwd=tmp_path, capture_output=True, text=True,
                          check=True)
    version, images, root = done.stdout.split()
    assert images == "1024" and (installed / f"nearsight-{version}.dist-info").is_dir()
    assert (installed / "nearsight" / "py.typed").exists()
    assert root.startswith(str(tmp_path)) and "site-packages" not in root
    before = {path for path in installed.rglob("*") if "__pycache__" not in path.parts}
    said = subprocess.run([sys.executable, "-m", "nearsight", "reproduce", "miniature-smoke"], env=environment, cwd=tmp_path,
                          capture_output=True, text=True, check=True).stdout
    assert said.endswith("miniature-smoke was missing and is now recorded.\n")
    assert (tmp_path / "nearsight" / "recorded" / "miniature-smoke" / "manifest.json").exists()
    assert before == {path for path in installed.rglob("*") if "__pycache__" not in path.parts}


def test_the_cell_to_reuse_audits_arrays_of_the_user_s(installed, tmp_path):
    """The cell of chapter 8, pasted into an empty script, with only the lines marked "yours" changed."""
    np.save(tmp_path / "mine.npy", 0.5 * np.random.default_rng(0).standard_normal((200, 3, 8, 8)))
    mine = {"images": "images = torch.from_numpy(numpy.load('mine.npy')).float()",
            "denoiser": "denoiser = nearsight.EmpiricalDenoiser(train, 0.05)", "folder": "folder = Path()"}
    script = reuse(ROOT / "notebooks" / "08_audit_your_model.py")
    for name, line in mine.items():
        script, count = re.subn(rf"^{name} = .*# yours.*$", line, script, flags=re.MULTILINE)
        assert count == 1, name
    (tmp_path / "script.py").write_text(f"import numpy\n{script}")
    environment = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "script.py"], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "audit.json").read_text())
    assert f"Verdict: {report['verdict']['code']}" in done.stdout and report["inputs"]["train"]["shape"] == [100, 3, 8, 8]
    assert report["verdict"]["code"] in ("copies", "closer")
    assert "<title>" in (tmp_path / "audit.html").read_text()
