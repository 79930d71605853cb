"""An engine for gomoku managers, over the protocol of the Gomocup tournament (piskvork)."""
