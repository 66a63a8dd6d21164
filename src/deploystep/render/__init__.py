"""Words and documents: total functions from a report to text or JSON."""
