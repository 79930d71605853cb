"""Which games leave the replay store, and when.

Where the live pieces with a new one would take more than FULL_SHARE of the ring's usable bytes (`layout.usable_bytes`),
or where there are more games than ``replay.max_games``, games leave: those of the earliest stage of a curriculum first,
and of a stage the one that arrived first. For memory ``replay.min_games`` always stay.

The share that stays free is for fresh targets, which come in before the old ones leave, and makes room cheap to have.
Targets that were replaced, and games of a stage that ends, leave room all over the ring; it comes free as the ring's
tail passes over it and copies the live games between to the head: of a ring with a share u of live bytes about
u / (1 - u) bytes are copied for each that comes free, which has no bound as u goes to 1.
"""

FULL_SHARE = 0.9
# more dead positions than this for each live one, and the tail moves on even where there is room: they cost samples
DEAD_SHARE = 0.25
