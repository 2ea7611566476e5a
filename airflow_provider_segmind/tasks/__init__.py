"""
What the operators and sensors do when a task runs.

A door has the parameters and the documentation of its class, and imports its module here only when a task runs: each
DAG file is parsed in a new process, which needs neither HTTP nor storage.
"""
