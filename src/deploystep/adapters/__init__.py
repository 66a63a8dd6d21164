"""Thin wrappers around the outside world: HTTP, git, files, the clock, the console."""
