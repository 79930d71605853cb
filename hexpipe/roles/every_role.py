"""All roles of a run, in the order in which their processes are started: the slowest to start come first."""

from __future__ import annotations

from typing import Any

from hexpipe.processes.role import Role
from hexpipe.roles.cluster import CLUSTER, NODE
from hexpipe.roles.generator import GENERATOR
from hexpipe.roles.learner import LEARNER
from hexpipe.roles.plan import Plan
from hexpipe.roles.rating import RATING
from hexpipe.roles.reanalyze import REANALYZE
from hexpipe.roles.replay import REPLAY
from hexpipe.roles.server import INFERENCE, LEAGUE

ROLES: tuple[Role[Plan, Any], ...] = (
    CLUSTER,
    INFERENCE,
    LEAGUE,
    LEARNER,
    GENERATOR,
    REANALYZE,
    REPLAY,
    RATING,
    NODE,
)
COUNTERS = {role.name: role.counters for role in ROLES}
"""The columns of each role on the stats board."""
