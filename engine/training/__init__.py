"""Training over time: the loop, the folder of a run, checkpoints, the estimate."""
