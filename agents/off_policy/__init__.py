"""Learners from transitions: SAC and its kin, offline, online and from one to the other."""
