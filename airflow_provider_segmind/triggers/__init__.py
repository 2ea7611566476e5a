"""Triggers, which wait in a triggerer and end with one event for the task."""
