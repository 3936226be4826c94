"""What every child process of the supervisor has: its report, its signals, its diagnosis, its limits."""
