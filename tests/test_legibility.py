"""What cannot be read of a figure is found, on the figure itself and in a chapter that shows it."""

import nbformat
import pytest
from executed import execute
from matplotlib import pyplot as plt
from nearsight.page.legibility import SMALLEST, illegible


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def faults(figure) -> list[str]:
    figure.canvas.draw()
    return illegible(figure)


def test_a_plain_figure_can_be_read():
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    assert faults(figure) == []


def test_an_axis_without_numbers_is_named():
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([1, 2]), right.plot([1, 3])
    left.set_title("risk")
    right.set_ylabel("gap")
    left.tick_params(labelbottom=False)
    right.set_yticklabels([])
    assert faults(figure) == ["axes 1 (risk) has no numbers on its x axis", "axes 2 (gap) has no numbers on its y axis"]


def test_numbers_are_shared_within_a_row_or_a_column_alone():
    figure, grid = plt.subplots(2, 2, sharex=True)
    for axes in grid.flat:
        axes.plot([1, 2])
        axes.label_outer()
    assert faults(figure) == ["axes 2 has no numbers on its y axis", "axes 4 has no numbers on its y axis"]
    for axes in grid[:, 1]:
        axes.tick_params(labelleft=True)
    assert faults(figure) == []
    grid[1, 1].tick_params(labelbottom=False)  # the left column still shows them
    assert faults(figure) == ["axes 2 has no numbers on its x axis", "axes 4 has no numbers on its x axis"]


def test_data_without_a_scale_is_a_fault_and_a_picture_is_none():
    figure, (left, right) = plt.subplots(1, 2)
    left.imshow([[0, 1], [1, 0]])
    right.plot([1, 2])
    for axes in (left, right):
        axes.set(xticks=[], yticks=[])
    assert faults(figure) == ["axes 2 has no ticks"]


def test_labels_out_of_view_are_no_numbers():
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    axes.set(xticks=[10, 20], xlim=(1, 2))
    assert faults(figure) == ["axes 1 has no numbers on its x axis"]


def test_insets_and_color_bars_are_looked_at():
    figure, axes = plt.subplots()
    colors = axes.contourf([[0, 1], [1, 2]])
    bar = figure.colorbar(colors)
    inset = axes.inset_axes([0.5, 0.5, 0.4, 0.4])
    inset.plot([1, 2])
    assert faults(figure) == []
    inset.set_yticklabels([])
    bar.ax.set_yticklabels([])
    assert len(faults(figure)) == 2


def test_a_second_scale_along_an_edge_is_no_axes():
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    axes.secondary_xaxis("top")
    assert faults(figure) == []


def test_small_text_is_named_with_its_size():
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    axes.text(0, 1, "tiny", fontsize=SMALLEST - 0.5), axes.text(0, 1, "just", fontsize=SMALLEST)
    assert faults(figure) == ["'tiny' is of 7.5 points"]


@pytest.mark.slow
def test_a_chapter_carries_the_faults_of_its_figures_and_ends_all_the_same(tmp_path):
    drawing = "figure, axes = plt.subplots()\naxes.plot([1, 2])\n"
    cells = ["from matplotlib import pyplot as plt", f"{drawing}axes.set_xticklabels([]);", drawing]
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    execute(notebook, tmp_path / "planted.py")
    first, second = (next(output for output in cell.outputs if "data" in output and "image/png" in output["data"])
                     for cell in notebook.cells[1:])
    assert first.metadata["image/png"]["illegible"] == ["axes 1 has no numbers on its x axis"]
    assert "illegible" not in second.metadata.get("image/png", {})
