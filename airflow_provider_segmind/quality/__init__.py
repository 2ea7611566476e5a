"""Checks of pictures before and after a body swap, independent of Airflow and Segmind."""
