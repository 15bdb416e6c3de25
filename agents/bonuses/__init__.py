"""Rewards for exploring, which PPO adds to what the environment pays; one file per method."""
