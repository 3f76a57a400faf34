"""The networks, their losses and one training step, as in the paper."""
