"""The calls, grouped by who makes them."""
