"""Monte Carlo tree search over many games at once; it knows arrays, a game's rules, and an evaluator."""
