"""Trainings and the agent on a real GPU: `make test-gpu`, on a machine with a GPU and nothing else."""
