"""The demo behind ``make demo``, and the local Airflow that the tests start as well."""
