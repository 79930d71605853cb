"""Go on 3x3 to 19x19 points: area scoring, positional superko, no suicide."""
