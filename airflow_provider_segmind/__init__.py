"""Apache Airflow provider for Segmind's AI Body Swap. Importing this package costs nothing."""

__version__ = "0.1.0"
