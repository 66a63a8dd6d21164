"""Types, decisions and policies: pure, standard library only."""
