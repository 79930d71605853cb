"""Playing a net in a browser, and watching a run: one process, a JSON API, pages without a build step."""
