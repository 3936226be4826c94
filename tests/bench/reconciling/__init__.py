"""The operator's cost beside a bare loop that makes the same two writes, and an idiomatic kopf operator."""
