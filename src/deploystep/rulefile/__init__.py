"""The rule file: text in, a RuleSet or every diagnostic out. The only place that knows YAML."""
