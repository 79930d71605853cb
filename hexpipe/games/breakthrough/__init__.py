"""Breakthrough: pieces that go one step ahead, and the first to reach the far row wins."""
