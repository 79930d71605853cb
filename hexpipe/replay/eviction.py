"""The eviction policy of the replay store.

Games are evicted if the live pieces with a new one would take more than FULL_SHARE of the ring's usable bytes
(`layout.usable_bytes`), or if there are more games than ``replay.max_games``: those of the earliest stage of a
curriculum first, and within a stage in order of arrival. Lack of memory never evicts the last ``replay.min_games``.

The free share takes fresh targets, which come in before the old ones leave, and keeps compaction cheap. Targets that
were replaced, and games of a stage that ends, leave dead pieces all over the ring; these are freed as the ring's tail
passes over them and copies the live games between them to the head: in a ring with a share u of live bytes about u / (1
- u) bytes are copied for each byte freed, which has no bound as u goes to 1.
"""

FULL_SHARE = 0.9
# more dead positions than this for each live one, and the tail moves on even if there is room: they cost samples
DEAD_SHARE = 0.25
