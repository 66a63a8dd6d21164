"""Patterns for branches, tags, changed paths and other names: reading them, matching, and (in `proofs`) comparing."""

from deploystep.core.patterns.automaton import Kind, Pattern, PatternSet
from deploystep.core.patterns.reading import PatternError, is_legal_ref, parse
from deploystep.core.source import Problem

__all__ = ["Kind", "Pattern", "PatternError", "PatternSet", "Problem", "is_legal_ref", "parse"]
