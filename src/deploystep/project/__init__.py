"""The other half of the wiring: what a project's `.circleci/config.yml` runs, and how that fits the rules."""
