"""What a chapter's cells lack, say twice or say at length is found, in cells planted for it."""

import pytest
from cells import code_cells, has, lines_of_code, rebound, reuse, seen, undefined

SCRIPT = '''# %%
import math
fine = math.pi

# %% tags=["remove-input"]
secret = 3

# %% tags=["hide-input"]
folded = fine

# %% [markdown]
# ## Reuse this

# %%
import math
print(math.pi)
'''


@pytest.fixture
def planted(tmp_path):
    (tmp_path / "chapter.py").write_text(SCRIPT)
    return tmp_path / "chapter.py"


def test_seen_are_the_visible_and_the_folded(planted):
    cells = code_cells(planted)
    assert seen(cells) == ["import math\nfine = math.pi", "folded = fine", "import math\nprint(math.pi)"]
    assert [has(cell, {"hide-input"}) for cell in cells] == [False, False, True, False]
    assert reuse(planted) == "import math\nprint(math.pi)"


@pytest.mark.parametrize("sources, missing", [
    (["x = 1", "print(x)"], []),
    (["print(x)", "x = 1"], ["x"]),  # order counts at top level
    (["x = x + 1"], ["x"]), (["x += 1"], ["x"]),
    (["def f():\n    return later", "later = 2", "f()"], []),  # and not within functions
    (["def f():\n    return never"], ["never"]),
    (["def f(a=default):\n    return a"], ["default"]),  # defaults and decorators are taken at once
    (["@mark\ndef f(): ..."], ["mark"]),
    (["f = lambda x: x + y"], ["y"]), (["f = lambda x: x + y", "y = 1"], []),
    (["print([y for y in z])"], ["z"]), (["print([z for y in [1]])", "z = 1"], ["z"]),
    (["for i in [1]:\n    j = i\nprint(i, j)"], []),
    (["with open('f') as f:\n    f.read()"], []),
    (["try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    print(error)"], []),
    (["from os import path as p", "p.join('a')"], []),
    (["class A:\n    b = c"], ["c"]), (["class A:\n    def m(self):\n        return B()", "class B: ..."], []),
    (["def f():\n    local = 1\n    def g():\n        return local\n    return g"], []),
    (["if (n := 3) > 2:\n    print(n)"], []),
    (["a, (b, *c) = 1, (2, 3)", "print(a, b, c)"], []),
    (["print(len([1]), __name__)"], []),
])
def test_names_that_are_not_there(sources, missing):
    assert undefined(sources) == missing


def test_names_that_are_bound_twice():
    assert rebound(["white = 400", "white = 100"]) == {"white": ["white = 400", "white = 100"]}
    assert rebound(["x = 1\nx = x + 1", "print(x)"]) == {}  # within a cell one sees it
    assert rebound(["figure, axes = plt.subplots()", "figure, axes = plt.subplots()"]) == {}
    assert list(rebound(["left = 1", "figure, (left, right) = plt.subplots(1, 2)"])) == ["left"]
    assert rebound(["for d in (1, 2): ...", "for d in (3, 4): ..."]) == {}
    assert list(rebound(["def f(): ...", "f = 2"])) == ["f"]


def test_lines_of_code():
    assert lines_of_code("# why\n\nx = 1  # so\ny = [1,\n     2]\n") == 3
    assert lines_of_code('def f():\n    """One.\n\n    Two."""\n') == 4
