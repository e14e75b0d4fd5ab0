"""Strings from a random tree grammar, and their exact denoisers: belief propagation on the tree, level by level."""

from nearsight.tree.grammar import Grammar
from nearsight.tree.parsing import Parse

__all__ = ["Grammar", "Parse"]
