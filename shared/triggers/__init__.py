"""HTTP and timer triggers: parse, call one use case, answer."""
