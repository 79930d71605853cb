"""Which games leave the replay store when its memory runs out, and when. Every weight and share of it is here.

A game's quality, the higher the longer it is kept:

    quality = PRIORITY_WEIGHT * priority + FRESHNESS_WEIGHT * freshness + DECISIVE_WEIGHT * decisiveness
              - STAGE_WEIGHT * stages

priority      mean over its sampled positions of `targets.value_priorities`, above 0 and up to 1: what is left to learn
freshness     its rank by arrival among the games held, 0 for the oldest and 1 for the newest
decisiveness  how far apart the outcome's values are, halved: 1 where one side won and another lost, 0 where all have
              the same, between the two for placement rewards that are nearer together
stages        how many stages of the curriculum it is behind the newest stage of any game held

A round of eviction begins when the live pieces with the new one would take more than EVICT_AT of the ring's usable
bytes (`layout.usable_bytes`), and ends when they take EVICT_TO. The newest PROTECTED_SHARE of the games by arrival take
no part in it, and ``replay.min_games`` games always stay. Only where all the others were not enough to let the new
piece in at all, another round goes on among those that are left, with the newest fifth of these protected.

Between the two shares lies what makes eviction cheap. The room of the games that left is spread over the whole ring,
and comes free as the ring's tail passes over it and copies the live games between to the head: of a ring with a share u
of live bytes about u / (1 - u) bytes are copied for each that comes free, which has no bound as u goes to 1.
"""

PRIORITY_WEIGHT = 0.5
FRESHNESS_WEIGHT = 0.3
DECISIVE_WEIGHT = 0.2
STAGE_WEIGHT = 1.0
PROTECTED_SHARE = 0.2
EVICT_AT = 0.95
EVICT_TO = 0.85
# more dead positions than this for each live one, and the tail moves on even where there is room: they cost samples
DEAD_SHARE = 0.25
# of quality, between the lowest and the highest found: the games of lower buckets leave, of the last one the oldest
BUCKETS = 256
