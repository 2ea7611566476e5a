"""Waiting for jobs: one poller per connection, and how a wait ends in a triggerer or on a worker."""
