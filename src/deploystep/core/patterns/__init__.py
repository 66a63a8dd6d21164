"""Patterns for branches, tags, changed paths and other names: reading them, matching, and (in `proofs`) comparing."""

from deploystep.core.patterns.automaton import Pattern, PatternSet
from deploystep.core.patterns.glob import is_legal_ref, parse
from deploystep.core.patterns.nodes import Kind, PatternError
from deploystep.core.source import Problem

__all__ = ["Kind", "Pattern", "PatternError", "PatternSet", "Problem", "is_legal_ref", "parse"]
