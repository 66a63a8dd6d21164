"""What CircleCI takes away: `deploy:` steps and calls of API v1 and v1.1, found and rewritten as rules."""
