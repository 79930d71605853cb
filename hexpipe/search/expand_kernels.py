"""What one simulation does to a tree: a child is added, evaluated or found finished, and its value sent up.

Values are by absolute seat and never negated on the way up.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from hexpipe.search.evaluator import Moves
from hexpipe.search.tree import EXPANDED, PENDING, SOLVED, Leaves, Tree

_LARGEST_VALUE = np.float32(1.01)


@njit(cache=True, nogil=True, _nrt=False)
def find_next_action(tree, g, node):
    """Remember the unvisited action with the highest prior (the first of equals) and that prior, or -1."""
    # two plain reductions of integers: both are vectorised, while a loop that keeps (best, index) is not, nor the
    # maximum of floats. Floats that are not negative are in the order of their bits, and a negative one is below them
    bits = tree.unvisited_bits
    num_actions = bits.shape[2]
    best = np.int32(-1)
    for action in range(num_actions):
        best = max(best, bits[g, node, action])
    found = np.int32(num_actions)
    for action in range(num_actions):
        here = np.int32(action) if bits[g, node, action] == best else np.int32(num_actions)
        found = min(found, here)
    if best < 0:
        tree.nodes[g, node].next_action = -1
        return
    tree.nodes[g, node].next_action = found
    tree.nodes[g, node].next_prior = tree.unvisited_prior[g, node, found]


@njit(cache=True, nogil=True, _nrt=False, fastmath={"reassoc", "nsz"})
def _sum_positive(unvisited, g, node):
    total = np.float32(0)
    for action in range(unvisited.shape[2]):
        prior = unvisited[g, node, action]
        # not "prior > 0": what is no number must spoil the sum
        total += np.float32(0) if prior < 0 else prior
    return total


@njit(cache=True, nogil=True, _nrt=False)
def add_child(tree, g, node, action):
    """A new PENDING child of ``node`` by ``action``, which is no longer unvisited; returns it."""
    child = tree.num_nodes[g]
    tree.num_nodes[g] = child + 1
    tree.nodes[g, child].parent = node
    tree.nodes[g, child].action = action
    tree.nodes[g, child].first_child = -1
    tree.nodes[g, child].next_sibling = tree.nodes[g, node].first_child
    tree.nodes[g, node].first_child = child
    tree.nodes[g, child].next_action = -1
    tree.nodes[g, child].status = PENDING
    tree.nodes[g, child].visits = 0
    tree.nodes[g, child].pending = 0
    tree.nodes[g, child].visits_before = 0
    tree.nodes[g, child].prior = tree.unvisited_prior[g, node, action]
    for seat in range(tree.num_seats):
        tree.nodes[g, child].value_sum[seat] = 0
    if tree.focus.shape[1] > 0:
        tree.focus[g, child] = -1
    tree.unvisited_prior[g, node, action] = -1
    find_next_action(tree, g, node)
    return child


@njit(cache=True, nogil=True, _nrt=False)
def release(tree, g, node):
    """Take one pending visit back along the path from ``node`` to the root."""
    while node >= 0:
        tree.nodes[g, node].pending -= 1
        node = tree.nodes[g, node].parent


@njit(cache=True, nogil=True, _nrt=False)
def backward(tree, g, node):
    """Complete one pending visit of ``node`` and its ancestors with its ``net_value``, or a solved ancestor's."""
    source = node
    while node >= 0:
        if tree.nodes[g, node].status == SOLVED:
            source = node
        tree.nodes[g, node].visits += 1
        tree.nodes[g, node].pending -= 1
        if tree.reward.shape[2] == 0:
            for seat in range(tree.num_seats):
                tree.nodes[g, node].value_sum[seat] += tree.nodes[g, source].net_value[seat]
        node = tree.nodes[g, node].parent
    for seat in range(tree.reward.shape[2]):
        _add_returns(tree, g, source, seat)


@njit(cache=True, nogil=True, _nrt=False)
def _add_returns(tree, g, leaf, seat):
    """Send the value of ``leaf`` up, with the rewards on its way; a game's rewards never add up to more than 1."""
    gain = tree.nodes[g, leaf].net_value[seat]
    node = leaf
    while node >= 0:
        gain = min(max(gain + tree.reward[g, node, seat], np.float32(-1)), np.float32(1))
        tree.nodes[g, node].value_sum[seat] += gain
        node = tree.nodes[g, node].parent


@njit(cache=True, nogil=True, _nrt=False, inline="always")
def is_lost(tree, g, node, seat):
    """Whether ``node`` is known to be lost for ``seat``."""
    return tree.nodes[g, node].status == SOLVED and tree.nodes[g, node].net_value[seat] <= -1


@njit(cache=True, nogil=True, _nrt=False)
def solve_ancestors(tree, g, node, drop_lost):
    """``node`` has just become SOLVED: solve its ancestors as far as that follows (MCTS-Solver, Winands et al. 2008).

    A position is won by one winning move, and worth its best move when all of them are solved. ``drop_lost`` takes a
    losing move's prior away, so that PUCT tries it no more; the Gumbel rules look at its value alone.
    """
    while node > 0:
        parent = tree.nodes[g, node].parent
        seat = tree.nodes[g, parent].to_move
        if drop_lost and tree.nodes[g, node].net_value[seat] <= -1:
            tree.nodes[g, node].prior = 0
        all_solved = tree.nodes[g, parent].next_action < 0
        best, highest = node, tree.nodes[g, node].net_value[seat]
        child = tree.nodes[g, parent].first_child
        while child >= 0 and highest < 1:
            if tree.nodes[g, child].status != SOLVED:
                all_solved = False
            elif tree.nodes[g, child].net_value[seat] > highest:
                best, highest = child, tree.nodes[g, child].net_value[seat]
            child = tree.nodes[g, child].next_sibling
        if highest < 1 and not all_solved:
            return
        tree.nodes[g, parent].status = SOLVED
        for other in range(tree.num_seats):
            value = tree.nodes[g, best].net_value[other]
            tree.nodes[g, parent].net_value[other] = value
            tree.nodes[g, parent].value_sum[other] = value * tree.nodes[g, parent].visits
        node = parent


@njit(cache=True, nogil=True, _nrt=False)
def settle_terminals(tree: Tree, leaves: Leaves, count, winner, to_move, terminal_values, rules):
    """Complete the visits of leaves where the game is over and move the others to the front.

    ``winner`` and ``to_move`` int8[R] are the state rows'; ``terminal_values`` float32[L, S] by absolute seat. Returns
    how many leaves want an evaluation.
    """
    kept = 0
    for i in range(count):
        g, node, row = leaves.game[i], leaves.node[i], leaves.row[i]
        tree.nodes[g, node].to_move = to_move[row]
        if winner[row] >= 0:
            tree.nodes[g, node].status = SOLVED
            for seat in range(tree.num_seats):
                tree.nodes[g, node].net_value[seat] = terminal_values[i, seat]
            backward(tree, g, node)
            if rules.solver:
                solve_ancestors(tree, g, node, not rules.gumbel)
        else:
            for part in leaves:
                part[kept] = part[i]
            kept += 1
    return kept


@njit(cache=True, nogil=True, _nrt=False)
def imagine_children(tree: Tree, leaves: Leaves, roots, count, to_move, view, next_view, action_view, moves: Moves):
    """Where learned dynamics stand in for the rules: say who moves in which frame at leaves ``roots`` to ``count``.

    ``to_move`` and ``view`` int8[R] are by latent row: those of the leaves' parents are read, the leaves' own written.
    ``next_view`` int8[views, A] is the frame after an action. Fills ``moves`` with what the evaluator must know.
    """
    for i in range(count):
        g, node, row = leaves.game[i], leaves.node[i], leaves.row[i]
        moves.rows[i] = row
        if i >= roots:
            parent, action = leaves.parent[i], leaves.action[i]
            seen_as = view[parent]
            to_move[row] = (to_move[parent] + 1) % tree.num_seats
            view[row] = next_view[seen_as, action]
            moves.parents[i - roots] = parent
            moves.actions[i - roots] = action_view[seen_as, action]
        tree.nodes[g, node].to_move = to_move[row]


@njit(cache=True, nogil=True, _nrt=False)
def expand_and_backward(tree: Tree, leaves: Leaves, count, priors, values, rewards, legal, view, action_view):
    """Give ``count`` leaves their priors and values and send the values up.

    ``priors`` float32[L, A] in the mover's frame, ``values`` float32[L, S] and ``rewards`` float32[L, S or 0] relative
    to the mover, ``legal`` bool[L, A] by absolute action, ``view`` int8[R], ``action_view`` int16[views, A]. Returns
    the index of the first leaf whose evaluation is unusable (not finite, no mass on a legal action, a negative one, a
    value or reward outside [-1, 1]), or -1.
    """
    num_actions, num_seats = priors.shape[1], values.shape[1]
    for i in range(count):
        g, node = leaves.game[i], leaves.node[i]
        seen_as = view[leaves.row[i]]
        unvisited = tree.unvisited_prior
        for action in range(num_actions):
            # an unsigned index spares the check for a negative one
            unvisited[g, node, action] = priors[i, np.uint16(action_view[seen_as, action])] + np.float32(0)  # no -0.0
        for action in range(num_actions):
            if not legal[i, action]:
                unvisited[g, node, action] = np.float32(-1)
        total = _sum_positive(unvisited, g, node)
        usable = total > 0 and math.isfinite(total)
        for seat in range(num_seats):
            value = values[i, (seat - tree.nodes[g, node].to_move + num_seats) % num_seats]
            usable = usable and abs(value) <= _LARGEST_VALUE
            # rounding may leave a hair over 1; a record takes none
            tree.nodes[g, node].net_value[seat] = min(max(value, np.float32(-1)), np.float32(1))
        for seat in range(rewards.shape[1]):
            reward = rewards[i, (seat - tree.nodes[g, node].to_move + num_seats) % num_seats]
            usable = usable and abs(reward) <= _LARGEST_VALUE
            tree.reward[g, node, seat] = reward
        if not usable:
            return i
        if abs(total - 1) > 1e-3:
            for action in range(num_actions):
                if legal[i, action]:
                    if unvisited[g, node, action] < 0:
                        return i
                    unvisited[g, node, action] /= total
        find_next_action(tree, g, node)
        tree.nodes[g, node].status = EXPANDED
        backward(tree, g, node)
    return -1
