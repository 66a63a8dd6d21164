"""The command line: parse, wire adapters to use cases, pick a renderer."""
