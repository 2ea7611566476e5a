"""Hook for Airflow connections to Segmind."""
