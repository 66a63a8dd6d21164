"""CircleCI's API as pure functions: values to requests, responses to values. No I/O."""
