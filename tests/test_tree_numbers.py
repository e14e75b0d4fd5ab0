"""The numbers of study 3's grammar, the published one with seed 0: tables that later figures can be checked against.

Those with a tolerance of digits are exact; those that were sampled are compared within 5 standard errors, ours and theirs
together.
"""

import math

import pytest
import torch
from nearsight import sample
from nearsight.noise import vp_sigmas
from nearsight.tree import Grammar
from test_tree import F64, seeded

GRAMMAR = Grammar.random()
SHALLOW = Grammar.random(depth=3)
SIGMAS = vp_sigmas().flip(0)  # SIGMAS[t], the published clock


def one_hot(tokens):
    return torch.nn.functional.one_hot(tokens, 6).double()


def noised(grammar, n, t, seed=0, level=0):
    """Tokens [n, L] and their one-hots with the noise of step t, a number or one for each string."""
    generator = seeded(seed)
    tokens = grammar.sample(n, generator, level)
    y = one_hot(tokens)
    return tokens, y + SIGMAS[t].reshape(-1, 1, 1) * torch.randn(y.shape, generator=generator, dtype=F64)


def entropy(p):
    return -torch.xlogy(p, p).sum((1, 2))


def divergence(p, log_q):
    """KL(p || q) [B], summed over positions; what p forbids counts nothing."""
    return torch.where(p > 0, p * (p.log() - log_q), 0.0).sum((1, 2))


def agrees(values, expected, error):
    """Whether the mean of values is the number of the table, whose standard error is `error`."""
    return abs(float(values.mean()) - expected) <= 5 * math.hypot(float(values.std()) / math.sqrt(len(values)), error)


def test_the_rules_of_the_first_parents():
    table = {0: {(2, 4): .151183, (3, 2): .131656, (5, 0): .552929, (5, 1): .164232},
             1: {(0, 2): .418164, (1, 4): .213451, (1, 5): .082576, (4, 5): .285810},
             2: {(1, 2): .122711, (4, 4): .568312, (5, 2): .188339, (5, 3): .120638}}
    for parent, rules in table.items():
        found = {(b, c): float(GRAMMAR.transitions[parent, b, c]) for b, c in GRAMMAR.transitions[parent].nonzero().tolist()}
        assert found == pytest.approx(rules, abs=1e-6)
    assert int((GRAMMAR.transitions.sum(0) == 0).sum()) == 12
    assert len(SHALLOW.strings()) == 6 * 4**7
    with pytest.raises(ValueError, match="6.44e"):
        GRAMMAR.strings()


def test_entropy_and_information():
    entropies = [Grammar(GRAMMAR.transitions, depth).entropy() for depth in range(1, 5)]
    assert entropies == pytest.approx([2.892284, 5.003452, 9.182936, 17.576507], abs=1e-6)
    assert float(entropy(GRAMMAR.leaf_marginals()[:, None]).mean()) == pytest.approx(1.604715, abs=1e-6)
    assert [GRAMMAR.information(k) for k in (1, 2, 3)] == pytest.approx([.337168, 1.172400, 3.294664], abs=1e-6)
    strings = GRAMMAR.sample(30_000, seeded())
    assert agrees(GRAMMAR.log_prob(strings) - GRAMMAR.log_prob(strings, 4), 7.716, 0.012)


def test_the_clock():
    table = {25: .171382, 50: .337470, 60: .407214, 75: .516924, 100: .718188, 150: 1.233701, 250: 3.435507, 500: 162.947}
    assert [float(SIGMAS[t]) for t in table] == pytest.approx(list(table.values()), rel=3e-6)


def test_posteriors_of_a_fixed_input():
    place, token = torch.arange(16, dtype=F64)[:, None], torch.arange(6, dtype=F64)
    x = ((6 * place + token) ** 2 / 7).cos()[None]
    table = {(0, 0.4): [.000238, .021455, .099205, .000569], (1, 0.4): [.000244, .018154, .076809, .000582],
             (2, 0.4): [.000222, .040864, .117329, .001492], (3, 0.4): [.000185, .066851, .224394, .004177],
             (4, 0.4): [.000053, .147776, .350139, .001019],
             (0, 0.8): [.176002, .149849, .173068, .176017], (4, 0.8): [.083955, .241090, .263952, .129995]}
    for (level, sigma), expected in table.items():
        found = GRAMMAR.denoiser(level)(x, sigma)[0]
        assert [float(found[at]) for at in ((0, 4), (3, 2), (7, 1), (12, 4))] == pytest.approx(expected, abs=1e-6)


# t: posterior entropy per token and accuracy, KL(BP_0 || BP_1 .. BP_4, rounding), with what is known of their errors
ORACLES = {
    25: ((.0001, 1e-4), (1.0, 1e-4), (.0002, 2e-4), (.0004, 3e-4), (.0013, 4e-4), (.0030, 6e-4), (.0038, 6e-4)),
    40: ((.0113, 1e-4), (.9961, 1e-4), (.035, 1e-3), (.099, 2e-3), (.256, 3e-3), (.550, 4e-3), (.670, 4e-3)),
    50: ((.0570, 2e-4), (.9801, 1e-4), (.106, 1e-3), (.323, 2e-3), (.820, 4e-3), (1.772, 6e-3), (2.208, 7e-3)),
    60: ((.1605, 4e-4), (.9434, 2e-4), (.145, 1e-3), (.488, 2e-3), (1.316, 4e-3), (2.938, 6e-3), (3.797, 7e-3)),
    70: ((.3118, 6e-4), (.8886, 3e-4), (.129, 1e-3), (.512, 2e-3), (1.481, 3e-3), (3.511, 6e-3), (4.810, 7e-3)),
    75: ((.3980, 6e-4), (.8577, 4e-4), (.110, 1e-3), (.482, 2e-3), (1.460, 3e-3), (3.590, 5e-3), (5.080, 7e-3)),
    80: ((.4825, 7e-4), (.8258, 4e-4), (.092, 1e-3), (.439, 1e-3), (1.391, 3e-3), (3.554, 5e-3), (5.211, 6e-3)),
    100: ((.8011, 7e-4), (.7063, 5e-4), (.0396, 2e-4), (.253, 1e-3), (.974, 2e-3), (2.920, 3e-3), (5.114, 5e-3)),
    150: ((1.2832, 4e-4), (.5059, 5e-4), (.0060, 1e-4), (.0556, 2e-4), (.302, 1e-3), (1.254, 2e-3), (4.008, 3e-3)),
    250: ((1.5605, 1e-4), (.3706, 5e-4), (.0004, 1e-4), (.0042, 1e-4), (.0314, 1e-4), (.1726, 2e-4), (3.141, 1e-3))}


@pytest.mark.parametrize("t", ORACLES)
def test_what_the_levels_know(t):
    tokens, x = noised(GRAMMAR, 6000, t, seed=t)
    p = GRAMMAR.denoiser()(x, SIGMAS[t])
    measured = [entropy(p) / 16, (p.argmax(2) == tokens).double().mean(1)]
    measured += [divergence(p, GRAMMAR.denoiser(level).log_probabilities(x, SIGMAS[t])) for level in (1, 2, 3, 4)]
    measured.append(divergence(p, (x / SIGMAS[t] ** 2).log_softmax(2)))
    for values, (expected, error) in zip(measured, ORACLES[t], strict=True):
        assert agrees(values, expected, error), (expected, values.mean())


def test_how_far_each_level_is_from_each_other():
    """KL(row || column) of BP_0 .. BP_4 at t = 75, known to half a percent."""
    table = [[0, .110, .482, 1.460, 3.590], [.120, 0, .412, 1.384, 3.511], [.584, .486, 0, .959, 3.073],
             [2.064, 1.916, 1.252, 0, 2.087], [6.13, 5.92, 4.95, 3.17, 0]]
    _, x = noised(GRAMMAR, 10_000, 75)
    logs = [GRAMMAR.denoiser(level).log_probabilities(x, SIGMAS[75]) for level in range(5)]
    for row, expected in zip(logs, table):
        for column, number in zip(logs, expected):
            found = torch.where(row > -math.inf, row.exp() * (row - column), 0.0).sum((1, 2))
            assert agrees(found, number, 0.005 * number / 2 + 2e-4)


@pytest.mark.parametrize("t, expected", [(75, (.4180, .123, .507, 1.532, 2.360)), (100, (.8155, .0570, .336, 1.261))])
def test_the_laptop_depth(t, expected):
    _, x = noised(SHALLOW, 10_000, t)
    p = SHALLOW.denoiser()(x, SIGMAS[t])
    assert agrees(entropy(p) / 8, expected[0], 8e-4)
    measured = [divergence(p, SHALLOW.denoiser(level).log_probabilities(x, SIGMAS[t])) for level in (1, 2, 3)]
    measured.append(divergence(p, (x / SIGMAS[t] ** 2).log_softmax(2)))
    for values, number in zip(measured, expected[1:]):
        assert agrees(values, number, 0.005 * number)


def test_the_best_cross_entropy_over_all_steps():
    """Posterior entropy per token with t uniform, as many strings at each step, and what the other levels lose."""
    t = torch.arange(1, 501).repeat(20)
    tables = (GRAMMAR, 1.2415, (.0009, .0040, .0140, .0419)), (SHALLOW, 1.2451, (.0020, .0097, .0360))
    for grammar, best, excess in tables:
        _, x = noised(grammar, len(t), t)
        p, length = grammar.denoiser()(x, SIGMAS[t]), 2**grammar.depth
        assert float(entropy(p).mean() / length) == pytest.approx(best, abs=0.0015)
        if grammar is GRAMMAR:
            rounding = divergence(p, (x / SIGMAS[t].reshape(-1, 1, 1) ** 2).log_softmax(2)) / length
            assert float(rounding.mean()) == pytest.approx(.1967, abs=0.002)
        for level, expected in enumerate(excess, start=1):
            lost = divergence(p, grammar.denoiser(level).log_probabilities(x, SIGMAS[t])) / length
            assert float(lost.mean()) == pytest.approx(expected, abs=0.0002 + 0.03 * expected)


def test_calibration_without_table():
    """Probabilities mean what they say: -ln p(true) is the entropy on average, p(true) the purity."""
    for t in (50, 75, 150):
        tokens, x = noised(GRAMMAR, 4000, t, seed=9)
        p = GRAMMAR.denoiser()(x, SIGMAS[t])
        true = p.gather(2, tokens[..., None])[..., 0]
        for difference in (-true.log().sum(1) - entropy(p), (true - p.square().sum(2)).mean(1)):
            assert abs(difference.mean()) < 4.5 * difference.std() / math.sqrt(4000)


def test_the_area_law():
    """Half the area under the error, over 1/sigma^2, is an entropy; under the distance of two levels, information."""
    generator = seeded()
    y = one_hot(SHALLOW.sample(2000, generator))
    rates = torch.logspace(-3, math.log10(60), 90, dtype=F64)
    heights = []  # of each string: the error of BP_0, and its distance to BP_1, BP_2, BP_3
    for rate in rates:
        sigma = float(rate) ** -0.5
        x = y + sigma * torch.randn(y.shape, generator=generator, dtype=F64)
        p = SHALLOW.denoiser()(x, sigma)
        others = [y] + [SHALLOW.denoiser(level)(x, sigma) for level in (1, 2, 3)]
        heights.append(torch.stack([(other - p).square().sum((1, 2)) for other in others]))
    areas = torch.trapezoid(torch.stack(heights), rates, dim=0) / 2
    areas[0] += heights[0][0] * rates[0] / 2  # to the left of the grid, where the error is flat
    for values, expected in zip(areas, [SHALLOW.entropy(), *map(SHALLOW.information, (1, 2, 3))], strict=True):
        assert agrees(values, expected, 0.002 * expected)  # the rule's own error
        assert abs(float(values.mean()) - expected) < 0.03 * expected


# Chains


@pytest.mark.parametrize("t", [2, 75, 300, 500])
def test_the_reverse_step_is_that_of_the_published_chain(t):
    """The posterior of x_(t-1) given x_t and y in variance-preserving terms (Ho et al. 2020, eq. 7), on the same z."""
    betas = torch.linspace(2e-4, 4e-2, 500, dtype=F64)
    abar, before, beta = (1 - betas)[:t].prod(), (1 - betas)[:t - 1].prod(), betas[t - 1]
    _, x = noised(GRAMMAR, 5, t)
    y, z = GRAMMAR.denoiser()(x, SIGMAS[t]), torch.randn(x.shape, generator=seeded(1), dtype=F64)
    mean = (before.sqrt() * beta * y + (1 - beta).sqrt() * (1 - before) * abar.sqrt() * x) / (1 - abar)
    expected = (mean + (beta * (1 - before) / (1 - abar)).sqrt() * z) / before.sqrt()
    found = sample(GRAMMAR.denoiser(), x, SIGMAS[[t, t - 1]], "ancestral", generator=seeded(1))
    assert ((found - expected).abs() / (1 + SIGMAS[t])).max() < 1e-12


def test_samples_of_the_oracle_are_of_the_language():
    sigmas = torch.cat([torch.logspace(math.log10(30), -1, 40, dtype=F64), torch.zeros(1, dtype=F64)])
    for grid in (sigmas, vp_sigmas()):
        latents = (1 + grid[0] ** 2).sqrt() * torch.randn(200, 16, 6, generator=seeded(), dtype=F64)
        strings = sample(GRAMMAR.denoiser(), latents, grid, "ancestral", generator=seeded(1)).argmax(2)
        assert GRAMMAR.parse(strings).valid.all()


@pytest.mark.parametrize("t, overlap, purity", [(60, .918, .9158), (75, .796, .7943), (100, .595, .5947),
                                                (150, .370, .3685)])
def test_a_turn_back_returns_as_many_tokens_as_the_purity_says(t, overlap, purity):
    tokens, x = noised(GRAMMAR, 1500, t, seed=t)
    back = sample(GRAMMAR.denoiser(), x, SIGMAS[:t + 1].flip(0), "ancestral", generator=seeded(1)).argmax(2)
    returned = (back == tokens).double().mean(1)
    assert agrees(returned, overlap, 0.004) and agrees(returned, purity, 5e-4)
    assert agrees(GRAMMAR.denoiser()(x, SIGMAS[t]).square().sum(2).mean(1), purity, 5e-4)


def test_a_chain_that_forgets_the_top_leaves_the_language_half_of_the_time():
    _, x = noised(GRAMMAR, 1500, 75)
    sigmas = torch.cat([torch.logspace(math.log10(SIGMAS[75]), -1, 75, dtype=F64), torch.zeros(1, dtype=F64)])
    sigmas[0] = SIGMAS[75]
    strings = sample(GRAMMAR.denoiser(2), x, sigmas, "ancestral", generator=seeded(1)).argmax(2)
    assert agrees(GRAMMAR.parse(strings).valid.double(), .605, 0.02 / 2)


# Strings


@pytest.mark.parametrize("grammar, n, expected, error", [(GRAMMAR, 5000, 4.27, .05), (GRAMMAR, 12_000, 3.75, .05),
                                                        (SHALLOW, 300, 1.76, .03), (SHALLOW, 1000, 1.24, .03),
                                                        (SHALLOW, 2000, .97, .03)])
def test_how_near_a_fresh_string_is_to_a_training_set(grammar, n, expected, error):
    tokens = grammar.sample(n + 1500, seeded(n))
    train, fresh = one_hot(tokens[:n]).float().flatten(1), one_hot(tokens[n:]).float().flatten(1)
    distance = 2**grammar.depth - (fresh @ train.T).amax(1)
    assert agrees(distance.double(), expected, error)


@pytest.mark.parametrize("n, expected", [(300, .12), (1000, .25), (2000, .34)])
def test_copies_among_fresh_strings(n, expected):
    tokens = SHALLOW.sample(n + 20_000, seeded(n))
    codes = tokens @ 6 ** torch.arange(8)
    assert float(torch.isin(codes[n:], codes[:n]).double().mean()) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("level, expected", [(1, (1, 1, 1, .87)), (2, (1, 1, .84, .53)), (3, (1, .83, .50, .17)),
                                             (4, (.82, .49, .16, .015))])
def test_grammatical_nodes_of_filtered_strings(level, expected):
    """At depths 3, 2, 1, 0."""
    grammatical = GRAMMAR.parse(GRAMMAR.sample(20_000, seeded(), level)).grammatical
    assert [float(nodes.double().mean()) for nodes in reversed(grammatical)] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("n, distance, split", [(300, .013, .028), (500, .011, .020)])
def test_a_learner_who_counts(n, distance, split):
    """D_0 and D_split of belief propagation with counted rules at t = 75; the table's numbers are of two blocks."""
    blocks = SHALLOW.sample(24 * n, seeded()).split(n)
    _, x = noised(SHALLOW, 1000, 75, seed=1)
    truth = SHALLOW.denoiser()(x, SIGMAS[75])
    logs = [SHALLOW.counted(block).denoiser().log_probabilities(x, SIGMAS[75]) for block in blocks]
    from_truth = torch.stack([divergence(truth, log_q).mean() for log_q in logs])
    between = torch.stack([divergence(log_p.exp(), log_q).mean() for log_p, log_q in zip(logs[::2], logs[1::2])])
    for values, expected in ((from_truth, distance), (between, split)):
        assert abs(values.mean() - expected) < 3 * values.std() / math.sqrt(2)
    # Six parents with three free shares each: n strings leave D(P || P') = 18 / 2n of them on average, noise hides a part.
    assert 0.3 < float(from_truth.mean()) / (18 / (2 * n)) < 0.8
