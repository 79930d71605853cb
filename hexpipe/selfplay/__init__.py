"""Self-play: many games at once in one process, turned into GameRecords. No torch."""
