"""Apache Airflow provider for Segmind's AI Body Swap. Importing this package loads nothing else."""

__version__ = "0.1.0"
