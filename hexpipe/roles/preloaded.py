"""Imported by the nursery of a run: to import it there is to load what the run's processes share, nothing of torch."""

import hexpipe.roles.generator
import hexpipe.roles.rating
import hexpipe.roles.reanalyze
import hexpipe.roles.replay
import hexpipe.roles.server  # noqa: F401
from hexpipe.processes.nursery import become_nursery
from hexpipe.roles.nursery import begun_here, load

if begun_here():
    load()
    become_nursery()
