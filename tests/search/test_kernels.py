"""Single choices in hand-made trees of a root and two children, with the arithmetic written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hexpipe.search import expand_kernels, root_kernels, select_kernels
from hexpipe.search.tree import EXPANDED, PENDING, SOLVED, Tree, new_tree

RULES = select_kernels.Rules(
    gumbel=False,
    solver=True,
    c_puct_init=1.25,
    c_puct_base=19652.0,
    fpu_reduction=0.25,
    virtual_loss=1.0,
    c_visit=50.0,
    c_scale=1.0,
)


@pytest.fixture
def tree() -> Tree:
    """Seat 0 to move. Action 0: 2 visits, Q 0.5, prior 0.5; 1: 1 visit, Q -0.2, prior 0.3; 2: unvisited, prior 0.2.

    The root's own value is 0.2, its mean (0.2 + 1.0 - 0.2) / 4 = 0.25.
    """
    tree = new_tree(1, 4, 3, 2)
    tree.num_nodes[0] = 3
    tree.status[0, :3] = EXPANDED
    tree.parent[0, 1:3] = 0
    tree.action[0, 1:3] = 0, 1
    tree.first_child[0, 0], tree.next_sibling[0, 2] = 2, 1
    tree.visits[0, :3] = 4, 2, 1
    tree.prior[0, 1:3] = 0.5, 0.3
    tree.value_sum[0, :3, 0] = 1.0, 1.0, -0.2
    tree.value_sum[0, :, 1] = -tree.value_sum[0, :, 0]
    tree.net_value[0, 0] = 0.2, -0.2
    tree.unvisited_prior[0, 0] = -1, -1, 0.2
    tree.next_action[0, 0], tree.next_prior[0, 0] = 2, 0.2
    return tree


def test_puct_takes_the_largest_upper_bound(tree: Tree) -> None:
    # this visit is pending at the root, which has 4 before it: sqrt(4) * (1.25 + log(19657 / 19652)) = 2.5005
    # action 0: 0.5 + 2.5005 * 0.5 / 3 = 0.917; action 1: -0.2 + 2.5005 * 0.3 / 2 = 0.175
    # action 2: first-play 0.25 - 0.25 * sqrt(0.8) = 0.026, + 2.5005 * 0.2 = 0.526
    tree.pending[0, 0] = 1
    assert select_kernels._select_puct(tree, 0, 0, RULES) == (1, 0)


def test_puct_leaves_pending_visits_aside(tree: Tree) -> None:
    # two more visits under way below action 0, counted as lost: sqrt(6) * 1.2503 = 3.0626
    # action 0: (1 - 2) / 4 + 3.0626 * 0.5 / 5 = 0.056; action 1: -0.2 + 3.0626 * 0.15 = 0.259; action 2: 0.026 + 0.613
    tree.pending[0, :2] = 3, 2
    assert select_kernels._select_puct(tree, 0, 0, RULES) == (-1, 2)
    # without virtual loss action 0 keeps (1 - 0) / 4 = 0.25, + 0.306: still below action 2's 0.639
    assert select_kernels._select_puct(tree, 0, 0, RULES._replace(virtual_loss=0.0)) == (-1, 2)
    # and with a wide first-play reduction action 2 falls to 0.25 - 0.894 + 0.613 = -0.03, and the first of them wins
    calm = RULES._replace(virtual_loss=0.0, fpu_reduction=1.0)
    assert select_kernels._select_puct(tree, 0, 0, calm) == (1, 0)


def test_first_play_is_never_worse_than_a_loss(tree: Tree) -> None:
    # all is lost: actions 0 and 1 have -1 + 0.417 = -0.583 and -1 + 0.375; action 2 has -1 + 0.5, not -1.22 + 0.5
    tree.pending[0, 0] = 1
    tree.value_sum[0, :3, 0] = -4.0, -2.0, -1.0
    assert select_kernels._select_puct(tree, 0, 0, RULES) == (-1, 2)


def test_puct_sees_through_the_movers_eyes(tree: Tree) -> None:
    # for seat 1: action 0: -0.5 + 0.417 = -0.083; action 1: 0.2 + 0.375 = 0.575; action 2: -0.25 - 0.224 + 0.5 = 0.026
    tree.to_move[0, 0] = 1
    tree.pending[0, 0] = 1
    assert select_kernels._select_puct(tree, 0, 0, RULES) == (2, 1)


def test_puct_grows_with_the_visits(tree: Tree) -> None:
    # c_puct_base 1: log((1 + 4 + 1) / 1) + 1.25 = 3.042, times 2 = 6.084
    # action 0: 0.5 + 6.084 * 0.5 / 3 = 1.514; action 1: -0.2 + 6.084 * 0.15 = 0.713; action 2: 0.026 + 1.217 = 1.243
    tree.pending[0, 0] = 1
    rules = RULES._replace(c_puct_base=1.0)
    assert select_kernels._select_puct(tree, 0, 0, rules) == (1, 0)
    # with Q 0.2 instead of 0.5 action 0 has 1.214, and action 2 is ahead (first-play value unchanged)
    tree.value_sum[0, 1, 0] = 0.4
    assert select_kernels._select_puct(tree, 0, 0, rules) == (-1, 2)


def test_first_choice_follows_the_priors() -> None:
    tree = new_tree(1, 4, 3, 2)
    tree.status[0, 0] = EXPANDED
    tree.visits[0, 0] = tree.pending[0, 0] = 1
    tree.unvisited_prior[0, 0] = 0.2, 0.4, 0.4
    expand_kernels.find_next_action(tree, 0, 0)
    assert (tree.next_action[0, 0], tree.next_prior[0, 0]) == (1, np.float32(0.4))  # the first of equals
    assert select_kernels._select_puct(tree, 0, 0, RULES) == (-1, 1)


def test_mixed_value(tree: Tree) -> None:
    # (0.2 + 3 * (0.5 * 0.5 + 0.3 * -0.2) / 0.8) / 4 = (0.2 + 3 * 0.2375) / 4
    assert select_kernels.mixed_value(tree, 0, 0, 1.0) == pytest.approx(0.228125)
    tree.first_child[0, 0] = -1
    assert select_kernels.mixed_value(tree, 0, 0, 1.0) == pytest.approx(0.2)


def test_sigma_scale(tree: Tree) -> None:
    assert select_kernels.sigma_scale(tree, 0, 0, RULES) == pytest.approx((50 + 2) / 2)
    tree.pending[0, 2] = 4
    assert select_kernels.sigma_scale(tree, 0, 0, RULES) == pytest.approx((50 + 5) / 2)


def test_improved_choice(tree: Tree) -> None:
    # c_visit 0: sigma is 2 / 2 = 1. 0.5 e^0.5 = 0.824, 0.3 e^-0.2 = 0.246, 0.2 e^0.228 = 0.251, sum 1.321
    # 0.624 - 2 / 4 = 0.124; 0.186 - 1 / 4 = -0.064; 0.190 - 0 = 0.190
    rules = RULES._replace(c_visit=0.0)
    assert select_kernels._select_improved(tree, 0, 0, rules) == (-1, 2)
    # c_scale 2: 0.5 e^1 = 1.359, 0.3 e^-0.4 = 0.201, 0.2 e^0.456 = 0.316, sum 1.876: 0.225, -0.143, 0.168
    assert select_kernels._select_improved(tree, 0, 0, rules._replace(c_scale=2.0)) == (1, 0)


def test_halving_chooses_among_the_equally_visited(tree: Tree) -> None:
    score = np.array([0.0, 5.0, 9.0], np.float32)
    assert select_kernels._select_halving(tree, 0, RULES, score, 2) == (1, 0)
    assert select_kernels._select_halving(tree, 0, RULES, score, 1) == (2, 1)
    assert select_kernels._select_halving(tree, 0, RULES, score, 0) == (-1, 2)
    # one of action 0's visits is older than this search: 0 + 26 * 0.5 = 13 against 5 + 26 * -0.2 = -0.2
    tree.visits_before[0, 1] = 1
    assert select_kernels._select_halving(tree, 0, RULES, score, 1) == (1, 0)
    # both visited before only: 13 and -0.2 against 9 + 26 * 0.228 = 14.9
    tree.visits_before[0, 1:3] = 2, 1
    assert select_kernels._select_halving(tree, 0, RULES, score, 0) == (-1, 2)
    score[2] = 6.0
    assert select_kernels._select_halving(tree, 0, RULES, score, 0) == (1, 0)


def test_gumbel_results(tree: Tree) -> None:
    priors, policy, actions = np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32), np.zeros(1, np.int32)
    games = np.zeros(1, np.int32)
    root_kernels.root_priors(tree, games, priors)
    assert priors[0].tolist() == pytest.approx([0.5, 0.3, 0.2])
    score = np.array([[0.0, 20.0, 90.0]], np.float32)
    rules = RULES._replace(c_visit=0.0)
    root_kernels.gumbel_results(tree, rules, games, priors, score, actions, policy)
    weights = [0.5 * math.exp(0.5), 0.3 * math.exp(-0.2), 0.2 * math.exp(0.228125)]
    assert policy[0].tolist() == pytest.approx([w / sum(weights) for w in weights])
    assert actions[0] == 0  # most visited
    tree.visits_before[0, 1] = 1
    root_kernels.gumbel_results(tree, rules, games, priors, score, actions, policy)
    assert actions[0] == 1  # as many visits in this search: 0 + 0.5 against 20 - 0.2


def test_values_go_up_by_absolute_seat() -> None:
    tree = new_tree(1, 3, 2, 3)
    tree.parent[0, 1:] = 0, 1
    tree.pending[0] = 3, 2, 1
    tree.value_sum[0, 0] = 0.5, 0.0, -0.5
    tree.net_value[0, 2] = 1.0, -0.25, 0.125
    expand_kernels.backward(tree, 0, 2)
    assert tree.visits[0].tolist() == [1, 1, 1]
    assert tree.pending[0].tolist() == [2, 1, 0]
    assert tree.value_sum[0].tolist() == [[1.5, -0.25, -0.375], [1.0, -0.25, 0.125], [1.0, -0.25, 0.125]]
    expand_kernels.release(tree, 0, 1)
    assert tree.visits[0].tolist() == [1, 1, 1]
    assert tree.pending[0].tolist() == [1, 0, 0]


@pytest.mark.parametrize(("visits", "pending", "remaining", "decided"), [
    ((5, 3), (0, 0), 1, True),
    ((5, 3), (0, 0), 2, False),
    ((5, 3), (0, 2), 0, False),
    ((3, 5), (3, 0), 0, True),
    ((0, 0), (0, 0), 0, False),
])  # fmt: skip
def test_choice_is_decided(
    tree: Tree, visits: tuple[int, int], pending: tuple[int, int], remaining: int, decided: bool
) -> None:
    tree.visits[0, 1:3], tree.pending[0, 1:3] = visits, pending
    assert select_kernels.choice_is_decided(tree, 0, remaining) is decided


def test_root_noise_keeps_what_is_legal(tree: Tree) -> None:
    tree.unvisited_prior[0, 0] = -1, -1, 0.2
    gammas = np.array([[1.0, 2.0, 1.0]])
    root_kernels.mix_root_noise(tree, np.zeros(1, np.int32), gammas, 0.2)
    # 0.8 * p + 0.2 * (1, 2, 1) / 4
    assert tree.prior[0, 1:3].tolist() == pytest.approx([0.45, 0.34])
    assert tree.unvisited_prior[0, 0].tolist() == pytest.approx([-1, -1, 0.21])
    # action 1 is not legal (say): its gamma takes no part
    tree.first_child[0, 0] = 1
    tree.next_sibling[0, 1] = -1
    root_kernels.mix_root_noise(tree, np.zeros(1, np.int32), gammas, 1.0)
    assert [float(tree.prior[0, 1]), float(tree.unvisited_prior[0, 0, 2])] == pytest.approx([0.5, 0.5])


def test_playing_an_unvisited_action_takes_a_row_of_its_own(tree: Tree) -> None:
    steps, scratch = np.zeros((3, 1), np.int32), np.zeros(4, np.int32)
    game = np.zeros(1, np.int32)
    assert root_kernels.move_roots(tree, game, np.array([2], np.int32), 4, scratch, steps) == 1
    assert steps[:, 0].tolist() == [0, 2, 1]
    assert tree.handle[0].tolist() == [1, 0, 2, 3]
    assert (tree.num_nodes[0], tree.status[0, 0], tree.visits[0, 0], tree.first_child[0, 0]) == (1, PENDING, 0, -1)


def test_playing_a_visited_action_keeps_its_subtree(tree: Tree) -> None:
    tree.num_nodes[0] = 4
    tree.parent[0, 3], tree.action[0, 3], tree.first_child[0, 2] = 2, 0, 3
    tree.visits[0, 3], tree.status[0, 3] = 1, EXPANDED
    steps, scratch = np.zeros((3, 1), np.int32), np.zeros(4, np.int32)
    assert root_kernels.move_roots(tree, np.zeros(1, np.int32), np.array([1], np.int32), 4, scratch, steps) == 0
    assert tree.num_nodes[0] == 2
    assert sorted(tree.handle[0].tolist()) == [0, 1, 2, 3]
    assert tree.handle[0, :2].tolist() == [2, 3]
    assert (tree.parent[0, :2].tolist(), tree.first_child[0, 0], tree.next_sibling[0, 0]) == ([-1, 0], 1, -1)
    assert tree.value_sum[0, 0].tolist() == pytest.approx([-0.2, 0.2])


def solved(tree: Tree, node: int, value: float) -> None:
    """``node`` is solved: ``value`` for seat 0, its negative for seat 1."""
    tree.status[0, node] = SOLVED
    tree.net_value[0, node] = value, -value
    tree.value_sum[0, node] = tree.visits[0, node] * tree.net_value[0, node]


def test_one_winning_move_solves_a_position(tree: Tree) -> None:
    solved(tree, 1, 1.0)
    expand_kernels.solve_ancestors(tree, 0, 1, True)
    assert tree.status[0].tolist()[:3] == [SOLVED, SOLVED, EXPANDED]
    assert tree.net_value[0, 0].tolist() == [1, -1]
    assert tree.value_sum[0, 0].tolist() == [4, -4]  # all its visits, as far as they matter now
    assert tree.prior[0, 1:3].tolist() == pytest.approx([0.5, 0.3])


def test_a_losing_move_is_tried_no_more(tree: Tree) -> None:
    solved(tree, 1, -1.0)
    expand_kernels.solve_ancestors(tree, 0, 1, True)
    assert tree.status[0, 0] == EXPANDED
    assert tree.prior[0, 1:3].tolist() == pytest.approx([0.0, 0.3])
    # action 0: -1 + 0; action 1: -0.2 + 0.375; action 2: first-play 0.25 - 0.25 * sqrt(0.3) + 0.5
    tree.pending[0, 0] = 1
    assert select_kernels._select_puct(tree, 0, 0, RULES) == (-1, 2)
    # where the rest looks as bad, it is still the rest: -0.999 + 0.375, and -1 + 0
    tree.unvisited_prior[0, 0, 2] = tree.next_prior[0, 0] = 1e-9
    tree.value_sum[0, 0, 0], tree.value_sum[0, 2, 0] = -4, -0.999
    assert select_kernels._select_puct(tree, 0, 0, RULES) == (2, 1)


def test_a_position_is_lost_when_every_move_is(tree: Tree) -> None:
    solved(tree, 2, -1.0)
    expand_kernels.solve_ancestors(tree, 0, 2, True)
    solved(tree, 1, -1.0)
    expand_kernels.solve_ancestors(tree, 0, 1, True)
    assert tree.status[0, 0] == EXPANDED  # action 2 has not been tried
    tree.next_action[0, 0] = -1
    expand_kernels.solve_ancestors(tree, 0, 1, True)
    assert (tree.status[0, 0], tree.net_value[0, 0].tolist()) == (SOLVED, [-1, 1])


def test_a_position_is_worth_its_best_move_once_all_are_solved(tree: Tree) -> None:
    """With three seats a value between a win and a loss is possible: it solves nothing alone."""
    tree = new_tree(1, 4, 2, 3)
    tree.num_nodes[0] = 4
    tree.parent[0, 1:4] = 0, 1, 1
    tree.action[0, 1:4] = 0, 0, 1
    tree.first_child[0, :2], tree.next_sibling[0, 3] = (1, 3), 2
    tree.to_move[0, :2] = 0, 1
    tree.status[0, :2] = EXPANDED
    tree.visits[0] = 4, 3, 1, 1
    tree.next_action[0, 0] = 1  # the root has another action
    for node, values in ((2, [1.0, -0.2, -1.0]), (3, [-1.0, 0.5, -1.0])):
        assert tree.status[0, 1] == EXPANDED
        tree.status[0, node] = SOLVED
        tree.net_value[0, node] = values
        expand_kernels.solve_ancestors(tree, 0, node, True)
    assert tree.status[0].tolist() == [EXPANDED, SOLVED, SOLVED, SOLVED]
    assert tree.net_value[0, 1].tolist() == [-1.0, 0.5, -1.0]
    assert tree.value_sum[0, 1].tolist() == [-3.0, 1.5, -3.0]


def test_visits_under_way_do_not_change_a_solved_value(tree: Tree) -> None:
    solved(tree, 1, 1.0)
    tree.parent[0, 3] = 1
    tree.pending[0, [0, 1, 3]] = 1
    root_sum = tree.value_sum[0, 0].tolist()
    tree.net_value[0, 3] = -0.5, 0.5
    expand_kernels.backward(tree, 0, 3)
    assert tree.value_sum[0, 3].tolist() == [-0.5, 0.5]
    assert tree.value_sum[0, 1].tolist() == [3, -3]
    assert tree.value_sum[0, 0].tolist() == pytest.approx([root_sum[0] + 1, root_sum[1] - 1])


def test_the_policy_holds_moves_that_may_be_best(tree: Tree) -> None:
    def policy() -> list[float]:
        out = np.zeros((1, 3), np.float32)
        root_kernels.visit_policy(tree, np.zeros(1, np.int32), out)
        return out[0].tolist()

    assert policy() == pytest.approx([2 / 3, 1 / 3, 0])
    solved(tree, 1, -1.0)
    assert policy() == [0, 1, 0]
    assert not select_kernels.choice_is_decided(tree, 0, 1)
    assert select_kernels.choice_is_decided(tree, 0, 0)
    solved(tree, 2, -1.0)  # nothing else has been tried
    assert policy() == pytest.approx([2 / 3, 1 / 3, 0])
    solved(tree, 2, 1.0)
    solved(tree, 0, 1.0)
    assert policy() == [0, 1, 0]


def test_a_gumbel_root_plays_the_move_that_is_known_to_win(tree: Tree) -> None:
    solved(tree, 2, 1.0)
    solved(tree, 0, 1.0)
    priors, policy, actions = np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32), np.zeros(1, np.int32)
    root_kernels.root_priors(tree, np.zeros(1, np.int32), priors)
    score = np.zeros((1, 3), np.float32)
    root_kernels.gumbel_results(tree, RULES, np.zeros(1, np.int32), priors, score, actions, policy)
    assert actions[0] == 1
    assert policy[0, 1] > 0.99


def test_root_noise_leaves_solved_moves_aside(tree: Tree) -> None:
    solved(tree, 1, -1.0)
    tree.prior[0, 1] = 0
    root_kernels.mix_root_noise(tree, np.zeros(1, np.int32), np.ones((1, 3)), 0.5)
    assert tree.prior[0, 1] == 0
    assert tree.prior[0, 2] > 0.3
