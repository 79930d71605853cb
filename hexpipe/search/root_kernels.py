"""What happens at the roots between simulations: noise, results, and moving on to a chosen child."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from hexpipe.search.expand_kernels import find_next_action, is_lost
from hexpipe.search.select_kernels import mixed_value, sigma_scale
from hexpipe.search.tree import EXPANDED, PENDING, SOLVED


@njit(cache=True, nogil=True)
def reset_roots(tree, games):
    """Forget the trees of ``games`` int[k]: their roots are PENDING, their state rows stay where they are."""
    for g in games:
        _reset_root(tree, g)


@njit(cache=True, nogil=True)
def _reset_root(tree, g):
    tree.num_nodes[g] = 1
    tree.nodes[g, 0].parent = -1
    tree.nodes[g, 0].action = -1
    tree.nodes[g, 0].first_child = -1
    tree.nodes[g, 0].next_sibling = -1
    tree.nodes[g, 0].next_action = -1
    tree.nodes[g, 0].status = PENDING
    tree.nodes[g, 0].visits = 0
    tree.nodes[g, 0].pending = 0
    for seat in range(tree.num_seats):
        tree.nodes[g, 0].value_sum[seat] = 0
    if tree.focus.shape[1] > 0:
        tree.focus[g, 0] = -1


@njit(cache=True, nogil=True)
def root_priors(tree, games, out):
    """``out`` float32[k, A]: the root's priors by absolute action, -1 where illegal."""
    for i in range(games.shape[0]):
        g = games[i]
        out[i, :] = tree.unvisited_prior[g, 0]
        child = tree.nodes[g, 0].first_child
        while child >= 0:
            out[i, tree.nodes[g, child].action] = tree.nodes[g, child].prior
            child = tree.nodes[g, child].next_sibling


@njit(cache=True, nogil=True)
def mix_root_noise(tree, games, gammas, fraction):
    """Mix Dirichlet noise into root priors: p <- (1 - fraction) * p + fraction * noise.

    ``gammas`` float[k, A] are gamma samples; those of legal actions are normalised to a Dirichlet sample.
    """
    for i in range(games.shape[0]):
        g = games[i]
        total = 0.0
        row = tree.unvisited_prior[g, 0]
        for action in range(row.shape[0]):
            if row[action] >= 0:
                total += gammas[i, action]
        child = tree.nodes[g, 0].first_child
        while child >= 0:
            total += gammas[i, tree.nodes[g, child].action]
            child = tree.nodes[g, child].next_sibling
        if total <= 0:
            continue
        for action in range(row.shape[0]):
            if row[action] >= 0:
                row[action] = (1 - fraction) * row[action] + fraction * gammas[i, action] / total
        child = tree.nodes[g, 0].first_child
        while child >= 0:
            if tree.nodes[g, child].status != SOLVED:
                noise = gammas[i, tree.nodes[g, child].action] / total
                tree.nodes[g, child].prior = (1 - fraction) * tree.nodes[g, child].prior + fraction * noise
            child = tree.nodes[g, child].next_sibling
        find_next_action(tree, g, 0)


GAME_OVER, NO_ROOM = 1, 2
"""Why `begin_searches` began none."""


@njit(cache=True, nogil=True)
def begin_searches(tree, winner, rows, games, simulations, gumbel, start, target, searching):
    """Begin a search of each of ``games`` int[k]; 0, or GAME_OVER or NO_ROOM, with nothing begun.

    ``winner`` int8[R] is the state rows', ``rows`` and ``simulations`` int[k] are the games'. Fills, for these games,
    ``start`` int32[G] and ``target`` int32[G] (the root's visits before the search and after it), ``searching`` bool[G]
    and, for sequential halving, the tree's ``visits_before``.
    """
    for row in rows:
        if winner[row] >= 0:
            return GAME_OVER
    for i in range(games.shape[0]):
        g, wanted = games[i], simulations[i]
        visits = tree.nodes[g, 0].visits
        start[g] = max(visits, 1)
        if gumbel:
            target[g] = start[g] + wanted
        else:
            # kept visits count, but every move gets some thought of its own
            target[g] = max(wanted + 1, visits + max(1, wanted // 4))
        if tree.num_nodes[g] + target[g] - start[g] > tree.nodes.shape[1]:
            return NO_ROOM
    for g in games:
        searching[g] = True
        if not gumbel:
            continue
        child = tree.nodes[g, 0].first_child
        while child >= 0:
            tree.nodes[g, child].visits_before = tree.nodes[g, child].visits
            child = tree.nodes[g, child].next_sibling
    return 0


@njit(cache=True, nogil=True)
def root_statistics(tree, games, visit_counts, q_values, root_values):
    """Fill ``visit_counts`` int32[k, A], ``q_values`` float32[k, A] (the mover's; 0 unvisited) and ``root_values``
    float32[k, S] (mean value by absolute seat)."""
    for i in range(games.shape[0]):
        g = games[i]
        visit_counts[i, :] = 0
        q_values[i, :] = 0
        seat = tree.nodes[g, 0].to_move
        child = tree.nodes[g, 0].first_child
        while child >= 0:
            action = tree.nodes[g, child].action
            visits = tree.nodes[g, child].visits
            visit_counts[i, action] = visits
            if visits > 0:
                q_values[i, action] = tree.nodes[g, child].value_sum[seat] / visits
            child = tree.nodes[g, child].next_sibling
        for other in range(root_values.shape[1]):
            root_values[i, other] = tree.nodes[g, 0].value_sum[other] / max(1, tree.nodes[g, 0].visits)


@njit(cache=True, nogil=True)
def visit_policy(tree, games, policy):
    """``policy`` float32[k, A]: shares of the root's visits, as far as they went to moves that may be best.

    Visits to a lost move do not count while another may be better, and of a won root only those to won moves do.
    """
    for i in range(games.shape[0]):
        g = games[i]
        seat = tree.nodes[g, 0].to_move
        policy[i, :] = 0
        total = 0
        child = tree.nodes[g, 0].first_child
        while child >= 0:
            if _may_be_best(tree, g, child, seat):
                policy[i, tree.nodes[g, child].action] = tree.nodes[g, child].visits
                total += tree.nodes[g, child].visits
            child = tree.nodes[g, child].next_sibling
        if total == 0:  # only losing moves have been tried
            child = tree.nodes[g, 0].first_child
            while child >= 0:
                policy[i, tree.nodes[g, child].action] = tree.nodes[g, child].visits
                total += tree.nodes[g, child].visits
                child = tree.nodes[g, child].next_sibling
        policy[i] /= max(1, total)


@njit(cache=True, nogil=True)
def _may_be_best(tree, g, child, seat):
    """Whether the root's ``child`` is as good as the root is known to be."""
    if tree.nodes[g, 0].status == SOLVED:
        best = tree.nodes[g, 0].net_value[seat]
        return tree.nodes[g, child].status == SOLVED and tree.nodes[g, child].net_value[seat] >= best
    return not is_lost(tree, g, child, seat)


@njit(cache=True, nogil=True)
def gumbel_results(tree, rules, games, priors, root_score, actions, policy):
    """A Gumbel root's action and improved policy (Gumbel paper, eq. 8 and 11).

    ``priors`` float32[k, A] from `root_priors`; ``root_score`` float32[G, A] = gumbel + log prior. Fills ``actions``
    int32[k] (the best of the most visited in this search) and ``policy`` float32[k, A] = softmax(log prior +
    sigma(completed Q)).
    """
    for i in range(games.shape[0]):
        g = games[i]
        seat = tree.nodes[g, 0].to_move
        scale = sigma_scale(tree, g, 0, rules)
        mixed = mixed_value(tree, g, 0, 0.0)
        for action in range(policy.shape[1]):
            legal = priors[i, action] >= 0
            policy[i, action] = math.log(priors[i, action] + 1e-30) + scale * mixed if legal else -np.inf
        most, best_score = -2, -np.inf
        child = tree.nodes[g, 0].first_child
        while child >= 0:
            action = tree.nodes[g, child].action
            q = tree.nodes[g, child].value_sum[seat] / max(1, tree.nodes[g, child].visits)
            policy[i, action] = math.log(priors[i, action] + 1e-30) + scale * q
            visits = tree.nodes[g, child].visits - tree.nodes[g, child].visits_before
            if not _may_be_best(tree, g, child, seat):
                visits = -1  # only if nothing else is there
            score = root_score[g, action] + scale * q
            if visits > most or (visits == most and score > best_score):
                most, best_score, actions[i] = visits, score, action
            child = tree.nodes[g, child].next_sibling
        highest = policy[i].max()
        total = 0.0
        for action in range(policy.shape[1]):
            policy[i, action] = math.exp(policy[i, action] - highest)
            total += policy[i, action]
        for action in range(policy.shape[1]):
            policy[i, action] /= total


@njit(cache=True, nogil=True)
def focus_after(tree, games, actions, out):
    """``out`` int16[k]: the focus of the root's child by ``actions`` int[k], -1 where it has none."""
    for i in range(games.shape[0]):
        g = games[i]
        child = tree.nodes[g, 0].first_child
        while child >= 0 and tree.nodes[g, child].action != actions[i]:
            child = tree.nodes[g, child].next_sibling
        out[i] = tree.focus[g, child] if child >= 0 and tree.focus.shape[1] > 0 else np.int16(-1)


@njit(cache=True, nogil=True)
def move_roots(tree, games, actions, keep_at_most, new_index, steps):
    """Make the child by ``actions`` int[k] the root of each of ``games`` int[k].

    A child that has been expanded and whose subtree has at most ``keep_at_most`` nodes keeps it; otherwise the tree
    starts anew. Where the child's state does not exist yet, node 1's row is taken for it: ``steps`` int32[3, k] then
    gets (parent's row, action, row) for the rules to play. ``new_index`` int32[N] is scratch. Returns how many states
    are to be stepped.
    """
    count = 0
    for i in range(games.shape[0]):
        g, action = games[i], actions[i]
        child = tree.nodes[g, 0].first_child
        while child >= 0 and tree.nodes[g, child].action != action:
            child = tree.nodes[g, child].next_sibling
        if child < 0:
            steps[0, count], steps[1, count], steps[2, count] = tree.nodes[g, 0].handle, action, tree.nodes[g, 1].handle
            count += 1
            _swap_handles(tree, g, 0, 1)
            _reset_root(tree, g)
        elif tree.nodes[g, child].status != EXPANDED or not _keep_subtree(tree, g, child, keep_at_most, new_index):
            _swap_handles(tree, g, 0, child)
            _reset_root(tree, g)
    return count


@njit(cache=True, nogil=True)
def _swap_handles(tree, g, a, b):
    tree.nodes[g, a].handle, tree.nodes[g, b].handle = tree.nodes[g, b].handle, tree.nodes[g, a].handle


@njit(cache=True, nogil=True)
def _keep_subtree(tree, g, root, keep_at_most, new_index):
    """Move the subtree under ``root`` to the front, in order; False, with nothing changed, if it is too large."""
    kept = 0
    for node in range(tree.num_nodes[g]):
        inside = node == root or (node > root and new_index[tree.nodes[g, node].parent] >= 0)
        new_index[node] = kept if inside else -1
        kept += inside
    if kept > keep_at_most:
        return False
    for node in range(root, tree.num_nodes[g]):
        to = new_index[node]
        if to < 0:
            continue
        # a node never moves up, so that what it overwrites has moved or is dropped
        moved, dropped = tree.nodes[g, node].handle, tree.nodes[g, to].handle
        parent, child = tree.nodes[g, node].parent, tree.nodes[g, node].first_child
        sibling = tree.nodes[g, node].next_sibling
        tree.nodes[g, to] = tree.nodes[g, node]
        tree.nodes[g, node].handle, tree.nodes[g, to].handle = dropped, moved
        tree.nodes[g, to].parent = new_index[parent] if node != root else -1
        tree.nodes[g, to].first_child = new_index[child] if child >= 0 else -1
        tree.nodes[g, to].next_sibling = new_index[sibling] if sibling >= 0 and node != root else -1
        tree.nodes[g, to].visits_before = 0
        tree.unvisited_prior[g, to] = tree.unvisited_prior[g, node]
        if tree.focus.shape[1] > 0:
            tree.focus[g, to] = tree.focus[g, node]
    tree.num_nodes[g] = kept
    return True
