"""The gallery in Airflow's UI: what tasks record, and the pages that show it."""
