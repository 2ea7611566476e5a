"""Segmind's API without Airflow: a pure protocol, flows that decide, and two clients that send."""
