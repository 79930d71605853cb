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
    tree.parent[g, 0] = -1
    tree.action[g, 0] = -1
    tree.first_child[g, 0] = -1
    tree.next_sibling[g, 0] = -1
    tree.next_action[g, 0] = -1
    tree.status[g, 0] = PENDING
    tree.visits[g, 0] = 0
    tree.pending[g, 0] = 0
    tree.value_sum[g, 0, :] = 0
    if tree.focus.shape[1] > 0:
        tree.focus[g, 0] = -1


@njit(cache=True, nogil=True)
def root_priors(tree, games, out):
    """``out`` float32[k, A]: the root's priors by absolute action, -1 where illegal."""
    for i in range(games.shape[0]):
        g = games[i]
        out[i, :] = tree.unvisited_prior[g, 0]
        child = tree.first_child[g, 0]
        while child >= 0:
            out[i, tree.action[g, child]] = tree.prior[g, child]
            child = tree.next_sibling[g, child]


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
        child = tree.first_child[g, 0]
        while child >= 0:
            total += gammas[i, tree.action[g, child]]
            child = tree.next_sibling[g, child]
        if total <= 0:
            continue
        for action in range(row.shape[0]):
            if row[action] >= 0:
                row[action] = (1 - fraction) * row[action] + fraction * gammas[i, action] / total
        child = tree.first_child[g, 0]
        while child >= 0:
            if tree.status[g, child] != SOLVED:
                noise = gammas[i, tree.action[g, child]] / total
                tree.prior[g, child] = (1 - fraction) * tree.prior[g, child] + fraction * noise
            child = tree.next_sibling[g, child]
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
        visits = tree.visits[g, 0]
        start[g] = max(visits, 1)
        if gumbel:
            target[g] = start[g] + wanted
        else:
            # kept visits count, but every move gets some thought of its own
            target[g] = max(wanted + 1, visits + max(1, wanted // 4))
        if tree.num_nodes[g] + target[g] - start[g] > tree.parent.shape[1]:
            return NO_ROOM
    for g in games:
        searching[g] = True
        if not gumbel:
            continue
        child = tree.first_child[g, 0]
        while child >= 0:
            tree.visits_before[g, child] = tree.visits[g, child]
            child = tree.next_sibling[g, child]
    return 0


@njit(cache=True, nogil=True)
def root_statistics(tree, games, visit_counts, q_values, root_values):
    """Fill ``visit_counts`` int32[k, A], ``q_values`` float32[k, A] (the mover's; 0 unvisited) and ``root_values``
    float32[k, S] (mean value by absolute seat)."""
    for i in range(games.shape[0]):
        g = games[i]
        visit_counts[i, :] = 0
        q_values[i, :] = 0
        seat = tree.to_move[g, 0]
        child = tree.first_child[g, 0]
        while child >= 0:
            action = tree.action[g, child]
            visits = tree.visits[g, child]
            visit_counts[i, action] = visits
            if visits > 0:
                q_values[i, action] = tree.value_sum[g, child, seat] / visits
            child = tree.next_sibling[g, child]
        for other in range(root_values.shape[1]):
            root_values[i, other] = tree.value_sum[g, 0, other] / max(1, tree.visits[g, 0])


@njit(cache=True, nogil=True)
def visit_policy(tree, games, policy):
    """``policy`` float32[k, A]: shares of the root's visits, as far as they went to moves that may be best.

    Visits to a lost move do not count while another may be better, and of a won root only those to won moves do.
    """
    for i in range(games.shape[0]):
        g = games[i]
        seat = tree.to_move[g, 0]
        policy[i, :] = 0
        total = 0
        child = tree.first_child[g, 0]
        while child >= 0:
            if _may_be_best(tree, g, child, seat):
                policy[i, tree.action[g, child]] = tree.visits[g, child]
                total += tree.visits[g, child]
            child = tree.next_sibling[g, child]
        if total == 0:  # only losing moves have been tried
            child = tree.first_child[g, 0]
            while child >= 0:
                policy[i, tree.action[g, child]] = tree.visits[g, child]
                total += tree.visits[g, child]
                child = tree.next_sibling[g, child]
        policy[i] /= max(1, total)


@njit(cache=True, nogil=True)
def _may_be_best(tree, g, child, seat):
    """Whether the root's ``child`` is as good as the root is known to be."""
    if tree.status[g, 0] == SOLVED:
        return tree.status[g, child] == SOLVED and tree.net_value[g, child, seat] >= tree.net_value[g, 0, seat]
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
        seat = tree.to_move[g, 0]
        scale = sigma_scale(tree, g, 0, rules)
        mixed = mixed_value(tree, g, 0, 0.0)
        for action in range(policy.shape[1]):
            legal = priors[i, action] >= 0
            policy[i, action] = math.log(priors[i, action] + 1e-30) + scale * mixed if legal else -np.inf
        most, best_score = -2, -np.inf
        child = tree.first_child[g, 0]
        while child >= 0:
            action = tree.action[g, child]
            q = tree.value_sum[g, child, seat] / max(1, tree.visits[g, child])
            policy[i, action] = math.log(priors[i, action] + 1e-30) + scale * q
            visits = tree.visits[g, child] - tree.visits_before[g, child]
            if not _may_be_best(tree, g, child, seat):
                visits = -1  # only if nothing else is there
            score = root_score[g, action] + scale * q
            if visits > most or (visits == most and score > best_score):
                most, best_score, actions[i] = visits, score, action
            child = tree.next_sibling[g, child]
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
        child = tree.first_child[g, 0]
        while child >= 0 and tree.action[g, child] != actions[i]:
            child = tree.next_sibling[g, child]
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
        child = tree.first_child[g, 0]
        while child >= 0 and tree.action[g, child] != action:
            child = tree.next_sibling[g, child]
        if child < 0:
            steps[0, count], steps[1, count], steps[2, count] = tree.handle[g, 0], action, tree.handle[g, 1]
            count += 1
            _swap_handles(tree, g, 0, 1)
            _reset_root(tree, g)
        elif tree.status[g, child] != EXPANDED or not _keep_subtree(tree, g, child, keep_at_most, new_index):
            _swap_handles(tree, g, 0, child)
            _reset_root(tree, g)
    return count


@njit(cache=True, nogil=True)
def _swap_handles(tree, g, a, b):
    tree.handle[g, a], tree.handle[g, b] = tree.handle[g, b], tree.handle[g, a]


@njit(cache=True, nogil=True)
def _keep_subtree(tree, g, root, keep_at_most, new_index):
    """Move the subtree under ``root`` to the front, in order; False, with nothing changed, if it is too large."""
    kept = 0
    for node in range(tree.num_nodes[g]):
        inside = node == root or (node > root and new_index[tree.parent[g, node]] >= 0)
        new_index[node] = kept if inside else -1
        kept += inside
    if kept > keep_at_most:
        return False
    for node in range(root, tree.num_nodes[g]):
        to = new_index[node]
        if to < 0:
            continue
        # a node never moves up, so that what it overwrites has moved or is dropped
        _swap_handles(tree, g, to, node)
        parent, child, sibling = tree.parent[g, node], tree.first_child[g, node], tree.next_sibling[g, node]
        tree.parent[g, to] = new_index[parent] if node != root else -1
        tree.first_child[g, to] = new_index[child] if child >= 0 else -1
        tree.next_sibling[g, to] = new_index[sibling] if sibling >= 0 and node != root else -1
        tree.action[g, to] = tree.action[g, node]
        tree.next_action[g, to] = tree.next_action[g, node]
        tree.status[g, to] = tree.status[g, node]
        tree.to_move[g, to] = tree.to_move[g, node]
        tree.visits[g, to] = tree.visits[g, node]
        tree.pending[g, to] = tree.pending[g, node]
        tree.visits_before[g, to] = 0
        tree.prior[g, to] = tree.prior[g, node]
        tree.net_value[g, to] = tree.net_value[g, node]
        tree.value_sum[g, to] = tree.value_sum[g, node]
        tree.unvisited_prior[g, to] = tree.unvisited_prior[g, node]
        if tree.focus.shape[1] > 0:
            tree.focus[g, to] = tree.focus[g, node]
    tree.num_nodes[g] = kept
    return True
