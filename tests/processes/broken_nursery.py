"""What no process can load."""

raise RuntimeError("this nursery is broken")
