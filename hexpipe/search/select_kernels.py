"""Selection: from the root to the leaves that are to be evaluated. One tree a game, many games a call.

Formulas: PUCT from "Mastering Atari, Go, chess and shogi by planning with a learned model" (Schrittwieser et al. 2020,
appendix B, eq. 2), with the root and interior rules of "Policy improvement by planning with Gumbel" (Danihelka et al.
2022) as the other choice.

With ``_nrt=False`` numba counts no references to arrays, as it else does at each call of one kernel by another, for
each array, with an atomic instruction: 14 % of a search. The caller of the outermost kernel holds them all. Such a
kernel can allocate nothing, nor assign a slice to a slice.
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


@njit(cache=True, nogil=True, _nrt=False, inline="always")
def _q(tree, g, node, seat, virtual_loss):
    """Mean value of a visited or pending node for ``seat``; a pending visit counts as ``virtual_loss`` losses."""
    completed, pending = tree.nodes[g, node].visits, tree.nodes[g, node].pending
    lost = np.float32(virtual_loss) * np.float32(pending)
    return (tree.nodes[g, node].value_sum[seat] - lost) / np.float32(completed + pending)


@njit(cache=True, nogil=True, _nrt=False)
def _select_puct(tree, g, node, rules):
    """(child, action) of the largest Q + U; child is -1 where the action is unvisited. eq. 2 of MuZero's appendix B."""
    seat = tree.nodes[g, node].to_move
    # visits of the node before this one, which is pending already; its own evaluation is one of them, as in the paper's
    # pseudocode, so that the priors decide the first choice
    total = tree.nodes[g, node].visits + tree.nodes[g, node].pending - 1
    scale = (math.log((1.0 + total + rules.c_puct_base) / rules.c_puct_base) + rules.c_puct_init) * math.sqrt(total)
    scale = np.float32(scale)
    best_child, best_score, visited_prior = -1, _LOWEST, np.float32(0)
    child = tree.nodes[g, node].first_child
    while child >= 0:
        prior = tree.nodes[g, child].prior
        visited_prior += prior
        visits = tree.nodes[g, child].visits + tree.nodes[g, child].pending
        score = _q(tree, g, child, seat, rules.virtual_loss) + scale * prior / np.float32(1 + visits)
        if score > best_score:
            best_child, best_score = child, score
        child = tree.nodes[g, child].next_sibling
    action = tree.nodes[g, node].next_action
    if action >= 0:
        # first-play urgency: below the node's own value, the more so the more of the policy has been tried, but never
        # worse than a loss, or nothing new is tried where all else loses
        own = tree.nodes[g, node].value_sum[seat] / max(1, tree.nodes[g, node].visits)
        if tree.reward.shape[2] > 0:
            own -= tree.reward[g, node, seat]  # of the way here: no part of what is still to come
        first_play = max(-1.0, own - rules.fpu_reduction * math.sqrt(visited_prior))
        if first_play + scale * tree.nodes[g, node].next_prior > best_score:
            return -1, action
    return best_child, tree.nodes[g, best_child].action


@njit(cache=True, nogil=True, _nrt=False)
def mixed_value(tree, g, node, virtual_loss):
    """v_mix of the Gumbel paper's appendix D (eq. 33): what an unvisited action of ``node`` is worth to its mover."""
    seat = tree.nodes[g, node].to_move
    weighted, prior_sum, visits_sum = 0.0, 0.0, 0
    child = tree.nodes[g, node].first_child
    while child >= 0:
        prior = tree.nodes[g, child].prior + _TINY
        weighted += prior * _q(tree, g, child, seat, virtual_loss)
        prior_sum += prior
        visits_sum += tree.nodes[g, child].visits + tree.nodes[g, child].pending
        child = tree.nodes[g, child].next_sibling
    raw = tree.nodes[g, node].net_value[seat]
    if visits_sum == 0:
        return raw
    return (raw + visits_sum * weighted / prior_sum) / (1.0 + visits_sum)


@njit(cache=True, nogil=True, _nrt=False)
def sigma_scale(tree, g, node, rules):
    """The factor of sigma(q) = (c_visit + max_b N(b)) * c_scale * q, for q moved from [-1, 1] to [0, 1]."""
    most = 0
    child = tree.nodes[g, node].first_child
    while child >= 0:
        most = max(most, tree.nodes[g, child].visits + tree.nodes[g, child].pending)
        child = tree.nodes[g, child].next_sibling
    return 0.5 * (rules.c_visit + most) * rules.c_scale


@njit(cache=True, nogil=True, _nrt=False)
def _select_improved(tree, g, node, rules):
    """(child, action) by eq. 14 of the Gumbel paper: argmax of pi'(a) - N(a) / (1 + sum N).

    Every unvisited action has the same completed value, so that the softmax over all actions needs an exponential
    for the visited ones only.
    """
    seat = tree.nodes[g, node].to_move
    mixed = mixed_value(tree, g, node, rules.virtual_loss)
    scale = sigma_scale(tree, g, node, rules)
    highest, visited_prior, total = mixed, 0.0, 0
    child = tree.nodes[g, node].first_child
    while child >= 0:
        highest = max(highest, _q(tree, g, child, seat, rules.virtual_loss))
        visited_prior += tree.nodes[g, child].prior
        total += tree.nodes[g, child].visits + tree.nodes[g, child].pending
        child = tree.nodes[g, child].next_sibling
    mixed_weight = math.exp(scale * (mixed - highest))
    normaliser = max(0.0, 1.0 - visited_prior) * mixed_weight + _TINY
    child = tree.nodes[g, node].first_child
    while child >= 0:
        q = _q(tree, g, child, seat, rules.virtual_loss)
        normaliser += tree.nodes[g, child].prior * math.exp(scale * (q - highest))
        child = tree.nodes[g, child].next_sibling
    best_child, best_score = -1, -math.inf
    child = tree.nodes[g, node].first_child
    while child >= 0:
        q = _q(tree, g, child, seat, rules.virtual_loss)
        visits = tree.nodes[g, child].visits + tree.nodes[g, child].pending
        improved = tree.nodes[g, child].prior * math.exp(scale * (q - highest)) / normaliser
        score = improved - visits / (1.0 + total)
        if score > best_score:
            best_child, best_score = child, score
        child = tree.nodes[g, child].next_sibling
    action = tree.nodes[g, node].next_action
    if action >= 0 and tree.nodes[g, node].next_prior * mixed_weight / normaliser > best_score:
        return -1, action
    return best_child, tree.nodes[g, best_child].action


@njit(cache=True, nogil=True, _nrt=False)
def _select_halving(tree, g, rules, root_score, considered):
    """(child, action) at a Gumbel root: the best of the actions visited ``considered`` times in this search.

    ``root_score[a]`` is gumbel(a) + log prior(a), -inf where illegal (sequential halving, Gumbel paper's figure 1).
    """
    seat = tree.nodes[g, 0].to_move
    mixed = mixed_value(tree, g, 0, rules.virtual_loss)
    scale = sigma_scale(tree, g, 0, rules)
    best_child, best_action, best_score = -1, -1, -math.inf
    child = tree.nodes[g, 0].first_child
    while child >= 0:
        visits = tree.nodes[g, child].visits + tree.nodes[g, child].pending - tree.nodes[g, child].visits_before
        if visits == considered:
            action = tree.nodes[g, child].action
            score = root_score[action] + scale * _q(tree, g, child, seat, rules.virtual_loss)
            if score > best_score:
                best_child, best_action, best_score = child, action, score
        child = tree.nodes[g, child].next_sibling
    if considered == 0:
        for action in range(root_score.shape[0]):
            if tree.unvisited_prior[g, 0, action] >= 0 and root_score[action] + scale * mixed > best_score:
                best_child, best_action, best_score = -1, action, root_score[action] + scale * mixed
    return best_child, best_action


@njit(cache=True, nogil=True, _nrt=False)
def _descend(tree, g, rules, root_score, considered):
    """Walk down to a new node, a terminal one, or one that is already being evaluated, marking the path pending."""
    node = 0
    tree.nodes[g, 0].pending += 1
    while tree.nodes[g, node].status == EXPANDED:
        if not rules.gumbel:
            child, action = _select_puct(tree, g, node, rules)
        elif node == 0:
            child, action = _select_halving(tree, g, rules, root_score, considered)
        else:
            child, action = _select_improved(tree, g, node, rules)
        if child < 0:
            child = add_child(tree, g, node, action)
            tree.nodes[g, child].pending = 1
            return child, True
        node = child
        tree.nodes[g, node].pending += 1
    return node, False


@njit(cache=True, nogil=True, _nrt=False)
def choice_is_decided(tree, g, remaining):
    """Whether no other child of the root can overtake the most visited one in ``remaining`` simulations."""
    most, second = 0, 0
    seat = tree.nodes[g, 0].to_move
    child = tree.nodes[g, 0].first_child
    while child >= 0:
        visits = 0 if is_lost(tree, g, child, seat) else tree.nodes[g, child].visits + tree.nodes[g, child].pending
        if visits > most:
            most, second = visits, most
        elif visits > second:
            second = visits
        child = tree.nodes[g, child].next_sibling
    return most - second > remaining


@njit(cache=True, nogil=True, _nrt=False)
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
        if searching[g] and tree.nodes[g, 0].status == PENDING and tree.nodes[g, 0].pending == 0:
            tree.nodes[g, 0].pending = 1
            leaves.game[count], leaves.node[count], leaves.row[count] = g, 0, tree.nodes[g, 0].handle
            leaves.parent[count] = leaves.action[count] = -1
            count += 1
    roots, completed = count, 0
    for g in range(searching.shape[0]):
        if not searching[g] or tree.nodes[g, 0].status != EXPANDED:
            continue
        for _ in range(leaves_per_game):
            remaining = target[g] - tree.nodes[g, 0].visits - tree.nodes[g, 0].pending
            if remaining <= 0:
                break
            if may_stop[g] and choice_is_decided(tree, g, remaining):
                target[g] = tree.nodes[g, 0].visits + tree.nodes[g, 0].pending
                break
            considered = 0
            if rules.gumbel:
                done = tree.nodes[g, 0].visits - start[g]
                now = done + tree.nodes[g, 0].pending
                # a halving round ranks by the values of the round before: wait until those are in
                if stage[schedule[g], now] != stage[schedule[g], done] and tree.nodes[g, 0].pending > 0:
                    break
                considered = halving[schedule[g], now]
            node, is_new = _descend(tree, g, rules, root_score[g], considered)
            if is_new:
                leaves.game[count], leaves.node[count], leaves.row[count] = g, node, tree.nodes[g, node].handle
                leaves.parent[count] = tree.nodes[g, tree.nodes[g, node].parent].handle
                leaves.action[count] = tree.nodes[g, node].action
                count += 1
            elif tree.nodes[g, node].status == SOLVED:
                backward(tree, g, node)
                completed += 1
            else:
                # the path ends in a leaf of this very batch: evaluating it twice would teach nothing
                release(tree, g, node)
                break
    return roots, count, completed
