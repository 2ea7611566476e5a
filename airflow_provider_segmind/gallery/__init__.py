"""The gallery in Airflow's UI: the records of tasks, and the pages that show them."""
