"""Thin hands on the outside world: HTTP, git, files, the clock, the console."""
