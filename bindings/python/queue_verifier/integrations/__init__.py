"""Adapters to web frameworks; each imports its framework, and only when it is imported itself."""
