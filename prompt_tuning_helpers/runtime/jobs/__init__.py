"""Trainings at work: the queue, and the folders of its jobs."""
