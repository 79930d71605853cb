"""Selection: from the root to the leaves that are to be evaluated. One tree a game, many games a call.

Formulas: PUCT from "Mastering Atari, Go, chess and shogi by planning with a learned model" (Schrittwieser et al. 2020,
appendix B, eq. 2), with the root and interior rules of "Policy improvement by planning with Gumbel" (Danihelka et al.
2022) as the other choice.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from hexpipe.search.expand_kernels import add_child, backward, is_lost, release
from hexpipe.search.tree import EXPANDED, PENDING, SOLVED, Leaves, Tree

_LOWEST = np.float32(-3.0e38)
_TINY = np.float32(1e-12)


class Rules(NamedTuple):
    """The search settings as the kernels take them."""

    gumbel: bool
    solver: bool
    c_puct_init: float
    c_puct_base: float
    fpu_reduction: float
    virtual_loss: float
    c_visit: float
    c_scale: float


@njit(cache=True, nogil=True, inline="always")
def _q(tree, g, node, seat, virtual_loss):
    """Mean value of a visited or pending node for ``seat``; a pending visit counts as ``virtual_loss`` losses."""
    completed, pending = tree.visits[g, node], tree.pending[g, node]
    lost = np.float32(virtual_loss) * np.float32(pending)
    return (tree.value_sum[g, node, seat] - lost) / np.float32(completed + pending)


@njit(cache=True, nogil=True)
def _select_puct(tree, g, node, rules):
    """(child, action) of the largest Q + U; child is -1 where the action is unvisited. eq. 2 of MuZero's appendix B."""
    seat = tree.to_move[g, node]
    # visits of the node before this one, which is pending already; its own evaluation is one of them, as in the paper's
    # pseudocode, so that the priors decide the first choice
    total = tree.visits[g, node] + tree.pending[g, node] - 1
    scale = (math.log((1.0 + total + rules.c_puct_base) / rules.c_puct_base) + rules.c_puct_init) * math.sqrt(total)
    scale = np.float32(scale)
    best_child, best_score, visited_prior = -1, _LOWEST, np.float32(0)
    child = tree.first_child[g, node]
    while child >= 0:
        prior = tree.prior[g, child]
        visited_prior += prior
        visits = tree.visits[g, child] + tree.pending[g, child]
        score = _q(tree, g, child, seat, rules.virtual_loss) + scale * prior / np.float32(1 + visits)
        if score > best_score:
            best_child, best_score = child, score
        child = tree.next_sibling[g, child]
    action = tree.next_action[g, node]
    if action >= 0:
        # first-play urgency: below the node's own value, the more so the more of the policy has been tried, but never
        # worse than a loss, or nothing new is tried where all else loses
        own = tree.value_sum[g, node, seat] / max(1, tree.visits[g, node])
        if tree.reward.shape[2] > 0:
            own -= tree.reward[g, node, seat]  # of the way here: no part of what is still to come
        first_play = max(-1.0, own - rules.fpu_reduction * math.sqrt(visited_prior))
        if first_play + scale * tree.unvisited_prior[g, node, action] > best_score:
            return -1, action
    return best_child, tree.action[g, best_child]


@njit(cache=True, nogil=True)
def mixed_value(tree, g, node, virtual_loss):
    """v_mix of the Gumbel paper's appendix D (eq. 33): what an unvisited action of ``node`` is worth to its mover."""
    seat = tree.to_move[g, node]
    weighted, prior_sum, visits_sum = 0.0, 0.0, 0
    child = tree.first_child[g, node]
    while child >= 0:
        prior = tree.prior[g, child] + _TINY
        weighted += prior * _q(tree, g, child, seat, virtual_loss)
        prior_sum += prior
        visits_sum += tree.visits[g, child] + tree.pending[g, child]
        child = tree.next_sibling[g, child]
    raw = tree.net_value[g, node, seat]
    if visits_sum == 0:
        return raw
    return (raw + visits_sum * weighted / prior_sum) / (1.0 + visits_sum)


@njit(cache=True, nogil=True)
def sigma_scale(tree, g, node, rules):
    """The factor of sigma(q) = (c_visit + max_b N(b)) * c_scale * q, for q moved from [-1, 1] to [0, 1]."""
    most = 0
    child = tree.first_child[g, node]
    while child >= 0:
        most = max(most, tree.visits[g, child] + tree.pending[g, child])
        child = tree.next_sibling[g, child]
    return 0.5 * (rules.c_visit + most) * rules.c_scale


@njit(cache=True, nogil=True)
def _select_improved(tree, g, node, rules):
    """(child, action) by eq. 14 of the Gumbel paper: argmax of pi'(a) - N(a) / (1 + sum N).

    Every unvisited action has the same completed value, so that the softmax over all actions needs an exponential
    for the visited ones only.
    """
    seat = tree.to_move[g, node]
    mixed = mixed_value(tree, g, node, rules.virtual_loss)
    scale = sigma_scale(tree, g, node, rules)
    highest, visited_prior, total = mixed, 0.0, 0
    child = tree.first_child[g, node]
    while child >= 0:
        highest = max(highest, _q(tree, g, child, seat, rules.virtual_loss))
        visited_prior += tree.prior[g, child]
        total += tree.visits[g, child] + tree.pending[g, child]
        child = tree.next_sibling[g, child]
    mixed_weight = math.exp(scale * (mixed - highest))
    normaliser = max(0.0, 1.0 - visited_prior) * mixed_weight + _TINY
    child = tree.first_child[g, node]
    while child >= 0:
        q = _q(tree, g, child, seat, rules.virtual_loss)
        normaliser += tree.prior[g, child] * math.exp(scale * (q - highest))
        child = tree.next_sibling[g, child]
    best_child, best_score = -1, -math.inf
    child = tree.first_child[g, node]
    while child >= 0:
        q = _q(tree, g, child, seat, rules.virtual_loss)
        visits = tree.visits[g, child] + tree.pending[g, child]
        improved = tree.prior[g, child] * math.exp(scale * (q - highest)) / normaliser
        score = improved - visits / (1.0 + total)
        if score > best_score:
            best_child, best_score = child, score
        child = tree.next_sibling[g, child]
    action = tree.next_action[g, node]
    if action >= 0 and tree.unvisited_prior[g, node, action] * mixed_weight / normaliser > best_score:
        return -1, action
    return best_child, tree.action[g, best_child]


@njit(cache=True, nogil=True)
def _select_halving(tree, g, rules, root_score, considered):
    """(child, action) at a Gumbel root: the best of the actions visited ``considered`` times in this search.

    ``root_score[a]`` is gumbel(a) + log prior(a), -inf where illegal (sequential halving, Gumbel paper's figure 1).
    """
    seat = tree.to_move[g, 0]
    mixed = mixed_value(tree, g, 0, rules.virtual_loss)
    scale = sigma_scale(tree, g, 0, rules)
    best_child, best_action, best_score = -1, -1, -math.inf
    child = tree.first_child[g, 0]
    while child >= 0:
        visits = tree.visits[g, child] + tree.pending[g, child] - tree.visits_before[g, child]
        if visits == considered:
            action = tree.action[g, child]
            score = root_score[action] + scale * _q(tree, g, child, seat, rules.virtual_loss)
            if score > best_score:
                best_child, best_action, best_score = child, action, score
        child = tree.next_sibling[g, child]
    if considered == 0:
        for action in range(root_score.shape[0]):
            if tree.unvisited_prior[g, 0, action] >= 0 and root_score[action] + scale * mixed > best_score:
                best_child, best_action, best_score = -1, action, root_score[action] + scale * mixed
    return best_child, best_action


@njit(cache=True, nogil=True)
def _descend(tree, g, rules, root_score, considered):
    """Walk down to a new node, a terminal one, or one that is already being evaluated, marking the path pending."""
    node = 0
    tree.pending[g, 0] += 1
    while tree.status[g, node] == EXPANDED:
        if not rules.gumbel:
            child, action = _select_puct(tree, g, node, rules)
        elif node == 0:
            child, action = _select_halving(tree, g, rules, root_score, considered)
        else:
            child, action = _select_improved(tree, g, node, rules)
        if child < 0:
            child = add_child(tree, g, node, action)
            tree.pending[g, child] = 1
            return child, True
        node = child
        tree.pending[g, node] += 1
    return node, False


@njit(cache=True, nogil=True)
def choice_is_decided(tree, g, remaining):
    """Whether no other child of the root can overtake the most visited one in ``remaining`` simulations."""
    most, second = 0, 0
    seat = tree.to_move[g, 0]
    child = tree.first_child[g, 0]
    while child >= 0:
        visits = 0 if is_lost(tree, g, child, seat) else tree.visits[g, child] + tree.pending[g, child]
        if visits > most:
            most, second = visits, most
        elif visits > second:
            second = visits
        child = tree.next_sibling[g, child]
    return most - second > remaining


@njit(cache=True, nogil=True)
def select_leaves(
    tree: Tree,
    rules,
    searching,
    target,
    may_stop,
    leaves_per_game,
    root_score,
    halving,
    stage,
    schedule,
    start,
    leaves: Leaves,
):
    """Select up to ``leaves_per_game`` leaves of every game that is ``searching`` bool[G].

    ``target`` int32[G]: root visits that end the search (lowered where ``may_stop`` and the choice is decided).
    A Gumbel root also needs ``root_score`` float32[G, A], ``halving`` and ``stage`` int32[K, simulations] (visit count
    considered, and number of the halving round, by schedule and simulation), ``schedule`` int32[G] (the row of these
    that a game's search goes by) and ``start`` int32[G] (root visits when the search began).
    Fills ``leaves``; unevaluated roots come first. Visits that end in a known terminal node are completed at once.
    Returns roots, leaves, visits completed.
    """
    count = 0
    for g in range(searching.shape[0]):
        if searching[g] and tree.status[g, 0] == PENDING and tree.pending[g, 0] == 0:
            tree.pending[g, 0] = 1
            leaves.game[count], leaves.node[count], leaves.row[count] = g, 0, tree.handle[g, 0]
            leaves.parent[count] = leaves.action[count] = -1
            count += 1
    roots, completed = count, 0
    for g in range(searching.shape[0]):
        if not searching[g] or tree.status[g, 0] != EXPANDED:
            continue
        for _ in range(leaves_per_game):
            remaining = target[g] - tree.visits[g, 0] - tree.pending[g, 0]
            if remaining <= 0:
                break
            if may_stop[g] and choice_is_decided(tree, g, remaining):
                target[g] = tree.visits[g, 0] + tree.pending[g, 0]
                break
            considered = 0
            if rules.gumbel:
                done = tree.visits[g, 0] - start[g]
                now = done + tree.pending[g, 0]
                # a halving round ranks by the values of the round before: wait until those are in
                if stage[schedule[g], now] != stage[schedule[g], done] and tree.pending[g, 0] > 0:
                    break
                considered = halving[schedule[g], now]
            node, is_new = _descend(tree, g, rules, root_score[g], considered)
            if is_new:
                leaves.game[count], leaves.node[count], leaves.row[count] = g, node, tree.handle[g, node]
                leaves.parent[count] = tree.handle[g, tree.parent[g, node]]
                leaves.action[count] = tree.action[g, node]
                count += 1
            elif tree.status[g, node] == SOLVED:
                backward(tree, g, node)
                completed += 1
            else:
                # the path ends in a leaf of this very batch: evaluating it twice would teach nothing
                release(tree, g, node)
                break
    return roots, count, completed
