"""The use cases. They receive ports and never construct them."""
