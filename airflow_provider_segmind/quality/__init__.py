"""Checks of pictures before and after a body swap: bytes in, verdict out; knows neither Airflow nor Segmind."""
