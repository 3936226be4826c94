"""PID 1 of the trainer: starts the stages' processes, watches them, says how they ended.

Standard library and contracts only.
"""
