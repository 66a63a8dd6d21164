"""deploystep decides whether a CircleCI build deploys, and triggers the deploy safely."""

__version__ = "0.1.0"
