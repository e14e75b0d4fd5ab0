"""Pictures of trees show what they are given: a disc a node, solid where it is sure, with a black rim where it is wrong."""

import matplotlib as mpl
import torch
from matplotlib.colors import to_hex
from nearsight.page import draw_strings, draw_tree
from nearsight.tree import Grammar

mpl.use("Agg")
from matplotlib import pyplot as plt  # after the backend is chosen

GRAMMAR = Grammar.random(depth=3)


def discs(axes):
    """Opacity of each node, and whether its rim is black."""
    solid, rims = axes.patches[1::3], axes.patches[2::3]
    return [patch.get_alpha() for patch in solid], [to_hex(patch.get_edgecolor()) == "#000000" for patch in rims]


def test_a_tree_has_a_disc_for_each_node_and_a_rim_for_each_error():
    tokens = GRAMMAR.sample(1, torch.Generator().manual_seed(0))
    truth = [*(level[0] for level in GRAMMAR.parse(tokens).parents), tokens[0]]
    x = 0.6 * torch.randn(1, 8, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    nodes = [level[0] for level in GRAMMAR.denoiser().node_probabilities(x, 0.6)]
    figure, (tree, leaves) = plt.subplots(1, 2)
    draw_tree(tree, nodes, truth)
    draw_strings(leaves, [("exact", nodes[-1]), ("truth", torch.eye(6)[tokens[0]])], tokens[0])
    wrong = [bool(row.argmax() != token) for level, known in zip(nodes, truth) for row, token in zip(level, known)]
    opacity, rims = discs(tree)
    assert rims == wrong and any(wrong) and len(wrong) == 15 and len(tree.lines) == 14
    largest = torch.cat(nodes).amax(1)
    assert (torch.tensor(opacity).argsort() == largest.argsort()).all() and 0 < min(opacity) < max(opacity) <= 1
    opacity, rims = discs(leaves)
    assert rims == wrong[-8:] + 8 * [False] and opacity[8:] == [1.0] * 8
    plt.close(figure)
