"""Belief propagation on a perfect binary tree: evidence goes up, posteriors come down.

Up, each node collects how well the string below it fits each token it might be. A fit is a pair, so that no noise level is
too small: `score`, the largest sum of x over the leaf tokens of any derivation, and `rest`, the logarithm of what all
derivations weigh beside it,

    log fit = precision * score + rest,      precision = 1/sigma^2,      rest <= 0

Scores of one-hot strings are whole numbers: ties stay ties, at sigma = 0 too, where precision is as good as infinite.
The textbook sends messages down as well. Here the way up leaves P(rule | parent, what is below) at each node, and the
way down only multiplies these into the posterior of the parent: sums of positive terms, in which nothing cancels.

Nodes stand in bit-reversed order, in which the left children of a level are its first half and the right ones the other.
Arrays are [q, nodes, B], so [2q, nodes/2 B] with rows (token, side): a 0/1 matrix adds up the children of each rule.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def path_matrices(transitions: Tensor, level: int) -> Tensor:
    """P(token of node j at depth `level` | token of the root), [2^level, root token, token], nodes from left to right."""
    left, right = transitions.sum(2), transitions.sum(1)
    paths = torch.eye(len(transitions), dtype=transitions.dtype, device=transitions.device)[None]
    for _ in range(level):
        paths = torch.stack([paths @ left, paths @ right], 1).flatten(0, 1)
    return paths


class Propagation:
    """The passes for one grammar `transitions` [q, q, q] on a tree of `depth`, whose top is cut at `level`.

    The top joins the root to the nodes at depth `level` by the law of each of them alone, path_matrices(level); at level 0
    nothing is cut, and there is no top. Parents with fewer rules than others are filled up with copies of weight 0.
    """

    def __init__(self, transitions: Tensor, depth: int, level: int):
        self.vocabulary, self.depth, self.level = len(transitions), depth, level
        self.orders = [torch.zeros(1, dtype=torch.int64, device=transitions.device)]
        for _ in range(depth):
            self.orders.append(torch.cat([2 * self.orders[-1], 2 * self.orders[-1] + 1]))
        parent, left, right = transitions.nonzero(as_tuple=True)
        count = parent.bincount(minlength=self.vocabulary)[:, None]
        slot = torch.arange(int(count.max()), device=parent.device)
        rule = count.cumsum(0) - count + torch.minimum(slot, count - 1)  # [q, rules of a parent]
        logs = transitions[parent, left, right].log()[rule]
        self.log_rules = torch.where(slot < count, logs, -torch.inf).flatten()
        sides = 2 * torch.stack([left, right], 1)[rule].flatten(0, 1) + torch.arange(2, device=left.device)
        self.children = one_hot(sides, 2 * self.vocabulary).sum(1).to(transitions.dtype)  # [rules, 2q]
        self.rules_of_child = _lists(sides, 2 * self.vocabulary)
        paths = path_matrices(transitions, level)[self.orders[level]]
        self.log_paths = paths.log().permute(1, 2, 0)[..., None]  # [root token, token, nodes, 1]

    def to(self, device: torch.device) -> Propagation:
        """The same tables on a device."""
        if self.children.device == device:
            return self
        moved = object.__new__(Propagation)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                value = value.to(device)
            elif isinstance(value, list):
                value = [order.to(device) for order in value]
            setattr(moved, name, value)
        return moved

    @property
    def widest(self) -> int:
        """Entries of a string in the largest array of any pass."""
        return max(max(len(self.log_rules), self.rules_of_child.numel()) * 2 ** (self.depth - 1), self.log_paths.numel())

    def root(self, x: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
        """Fit of the string x [B, 2^depth, q] to each token of the root: score [q, B], rest [q, B]; precision is [B]."""
        score, rest, _ = self._up(x, precision, logs=False)
        return score, rest

    def posteriors(self, x: Tensor, precision: Tensor, logs: bool = False) -> list[Tensor]:
        """Posterior of every node given x, in the order and layout of this module: [q, 1, B] of the root, [q, 2^d, B] at
        each depth d > 0 from `level` on; or its logarithm, which does not underflow."""
        score, rest, shares = self._up(x, precision, logs)
        fit = (score - score.amax(0)) * precision + rest
        posterior = fit.log_softmax(0) if logs else fit.softmax(0)
        found = [posterior[:, None]]
        if self.level:
            joint = _joint(found[-1], *shares.pop(), logs)  # [root token, token, nodes, B]
            found.append(joint.logsumexp(0) if logs else joint.sum(0))
        while shares:
            joint = _joint(found[-1], *shares.pop(), logs).flatten(0, 1).flatten(1)  # [rules, nodes B]
            if logs:
                never = torch.full_like(joint[:1], -torch.inf)
                children = torch.cat([joint, never])[self.rules_of_child].logsumexp(1)
            else:
                children = self.children.T @ joint
            found.append(children.reshape(self.vocabulary, 2 * found[-1].shape[1], len(x)))
        return found

    def from_left_to_right(self, nodes: Tensor) -> Tensor:
        """Nodes [q, 2^d, B] of this module as the rest of the world has them, [B, 2^d, q]."""
        return nodes[:, self.orders[nodes.shape[1].bit_length() - 1]].permute(2, 1, 0)

    def _up(self, x: Tensor, precision: Tensor, logs: bool) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
        """Fit of the root, and for every depth, leaves first, how the rules share in the fit of their parent."""
        q, columns = self.vocabulary, len(x)
        leaves = x.permute(2, 1, 0).contiguous()[:, self.orders[-1]]
        # What all tokens of a place have in common changes no posterior, and would cost digits.
        score = leaves - leaves.amax(0)
        rest, shares = torch.zeros_like(score), []
        for depth in reversed(range(self.level, self.depth)):
            shape = q, len(self.log_rules) // q, 2**depth, columns
            scores = (self.children @ score.reshape(2 * q, 2**depth * columns)).view(shape)
            rests = torch.addmm(self.log_rules[:, None], self.children, rest.reshape(2 * q, 2**depth * columns)).view(shape)
            score, rest, share = _gathered(scores, rests, precision, logs)
            shares.append(share)
        if self.level:
            allowed = torch.where(self.log_paths > -torch.inf, 0.0, -torch.inf)
            score, rest, share = _gathered(score + allowed, rest + self.log_paths, precision, logs)
            shares.append(share)
        return score.sum(1), rest.sum(1), shares


def _gathered(scores: Tensor, rests: Tensor, precision: Tensor, logs: bool) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Fit of each parent [parent, nodes, B] to what lies below it, from the fits of its rules [parent, rule, nodes, B],
    which are overwritten; and the weights of the rules with their total, or the logarithms of both.

    What is subtracted here is added again above, so that a gradient need not pass through the maxima.
    """
    score = scores.detach().amax(1)
    terms = rests.addcmul_(scores.sub_(score[:, None]), precision)
    top = terms.detach().amax(1)
    terms = terms.sub_(top[:, None])
    weights = terms.exp() if logs else terms.exp_()
    total = weights.sum(1)
    log_total = total.log()
    return score, top + log_total, (terms, log_total) if logs else (weights, total)


def _joint(posterior: Tensor, weights: Tensor, total: Tensor, logs: bool) -> Tensor:
    """Posterior of each parent together with its rule, [parent, rule, nodes, B]; logarithms where these are given."""
    return weights + (posterior - total)[:, None] if logs else weights * (posterior / total)[:, None]


def _lists(sides: Tensor, count: int) -> Tensor:
    """For each child (token, side) the rules that have it, [2q, most], filled up with a rule that is not there."""
    lists = [(sides == child).any(1).nonzero()[:, 0] for child in range(count)]
    table = torch.full((count, max(map(len, lists))), len(sides), device=sides.device)
    for row, rules in zip(table, lists):
        row[:len(rules)] = rules
    return table
