"""Metadata that Airflow reads without importing the rest of the provider."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the shape of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-segmind",
        "name": "Segmind",
        "description": "`Segmind <https://www.segmind.com/>`__ AI Body Swap: one bill a swap, no worker held.",
        "integrations": [
            {
                "integration-name": "Segmind",
                "external-doc-url": "https://docs.segmind.com/",
                "logo": "/segmind/static/logo.svg",  # served by this package's plugin
                "how-to-guide": [
                    "/docs/how-to/connection.md",
                    "/docs/how-to/money.md",
                    "/docs/how-to/waiting.md",
                    "/docs/how-to/batches.md",
                    "/docs/how-to/taskflow.md",
                    "/docs/how-to/approval.md",
                    "/docs/how-to/testing.md",
                    "/docs/how-to/celery-and-kubernetes.md",
                ],
                "tags": ["service"],
            }
        ],
        "hooks": [{"integration-name": "Segmind", "python-modules": ["airflow_provider_segmind.hooks.segmind"]}],
        "operators": [
            {
                "integration-name": "Segmind",
                "python-modules": [
                    "airflow_provider_segmind.operators.pixelflow",
                    "airflow_provider_segmind.operators.batch",
                    "airflow_provider_segmind.operators.body_swap",
                    "airflow_provider_segmind.operators.memory",
                    "airflow_provider_segmind.operators.quality",
                    "airflow_provider_segmind.operators.review",
                ],
            }
        ],
        "transfers": [
            {
                "source-integration-name": "Segmind",
                "target-integration-name": "Segmind",
                "how-to-guide": "/docs/storage.md",
                "python-module": "airflow_provider_segmind.transfers.object_storage",
            }
        ],
        "sensors": [
            {
                "integration-name": "Segmind",
                "python-modules": [
                    "airflow_provider_segmind.sensors.pixelflow",
                    "airflow_provider_segmind.sensors.body_swap",
                ],
            }
        ],
        "triggers": [
            {
                "integration-name": "Segmind",
                "python-modules": [
                    "airflow_provider_segmind.triggers.batch",
                    "airflow_provider_segmind.triggers.segmind",
                    "airflow_provider_segmind.triggers.starting",
                ],
            }
        ],
        "task-decorators": [
            {"class-name": "airflow_provider_segmind.decorators.body_swap.body_swap_task", "name": "body_swap"}
        ],
        "notifications": ["airflow_provider_segmind.notifications.billing.MayBeBilledNotifier"],
        "extra-links": [
            "airflow_provider_segmind.links.BeforeAfterLink",
            "airflow_provider_segmind.links.ResultPictureLink",
        ],
        "config": {
            "segmind": {
                "description": "What an administrator decides about Segmind's tasks.",
                "options": {
                    "end_in_trigger": {
                        "description": "Whether waiting tasks end in the triggerer, without another start on a "
                        "worker, where they lose nothing by it (Airflow 3.3 and later). A task's own "
                        "``end_in_trigger=True`` or ``False`` comes first.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "True",
                    },
                    "default_deferrable": {
                        "description": "Whether tasks wait in a triggerer and hold no worker. Set it to ``False`` "
                        "on an Airflow without a triggerer: tasks then wait on their worker. A task's own "
                        "``deferrable`` comes first. Where this is not set, the environment variable "
                        "``AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE`` counts, and after it ``True``.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": "False",
                        "default": "",
                    },
                    "submit_concurrency": {
                        "description": "How many orders of one batch are under way at once.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": None,
                        "default": "8",
                    },
                    "price_per_swap": {
                        "description": "US dollars for one swap. A batch that the balance cannot pay for is refused "
                        "before its first order; 0 switches that off.",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": None,
                        "default": "0.2687",
                    },
                    "max_spend_per_run": {
                        "description": "US dollars that the orders of one DAG run may cost, at ``price_per_swap`` "
                        "each. An order that would cost more is refused before it is sent; 0 for no limit.",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "50",
                        "default": "0",
                    },
                    "max_spend_per_day": {
                        "description": "US dollars that the orders of one connection may cost on one day (UTC), at "
                        "``price_per_swap`` each, over all runs and DAGs. It is counted in the ``memory``, which it "
                        "needs. An order that would cost more is refused before it is sent; 0 for no limit.",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "500",
                        "default": "0",
                    },
                    "max_spend_per_day_and_dag": {
                        "description": "US dollars that the orders of one DAG may cost on one day (UTC); as "
                        "``max_spend_per_day``. 0 for no limit.",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "100",
                        "default": "0",
                    },
                    "tag_orders": {
                        "description": "Whether each body swap gets a tag of its own in the fragment of its scene's "
                        "URL (``…#order=…``), which is not sent to the picture's host: then a request history tells "
                        "orders with the same pictures apart. Off, since nobody has seen Segmind accept one: try it "
                        "with one swap. Pictures that are uploaded have URLs of their own anyway.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": "True",
                        "default": "False",
                    },
                    "memory": {
                        "description": "URI of a folder in S3, Google Cloud Storage or Azure (``abfss``), or on a disk "
                        "that all workers and triggerers share, in which each swap is remembered with its picture: "
                        "then no retry, clear, run or DAG pays again for a picture that is there, also on Airflow 3.1 "
                        "and 3.2. All who may read it see the pictures. Empty for no memory.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://aws_default@my-bucket/segmind-memory",
                        "default": "",
                    },
                    "pose_model": {
                        "description": "Path of ``pose_landmark_full.tflite`` from the wheel of mediapipe 0.10.21, the "
                        "same on every worker: results of swaps are then also checked for whether the new person keeps "
                        "the old one's pose; needs the extra ``qa``. Empty for no such check.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/opt/segmind/pose_landmark_full.tflite",
                        "default": "",
                    },
                    "input_roots": {
                        "description": "Folders, separated by commas, below which tasks may read what they are given: "
                        "photographs, manifests, and stored results that are checked. A folder is an absolute path or "
                        "a URI of object storage, whose part before ``@``, the connection, has to be the same. Empty "
                        "for any but the folders of the system (``/dev``, ``/etc``, ``/proc``, ``/run``, ``/sys``). "
                        "What is at an ``https://`` URL is no file and not bounded by it.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://aws_default@catalogue/in, s3://aws_default@catalogue/out, /srv/photographs",
                        "default": "",
                    },
                    "look_at_urls": {
                        "description": "Which orders have the ``https://`` URLs of their pictures looked at before "
                        "they are paid for: ``batches``, ``always`` or ``never``. A worker asks each URL for its first "
                        "bytes, and finds missing files, web pages, expired links and wrong formats. A host that "
                        "does not answer stops no order.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "never",
                        "default": "batches",
                    },
                    "gallery_roots": {
                        "description": "Folders in object storage, separated by commas, whose pictures the gallery in "
                        "Airflow's UI may show; ``{team}`` and ``{dag_id}`` in one stand for the team and the id of "
                        "the DAG whose swap is shown. With ``[core] multi_team`` each needs ``{team}``. Empty for no "
                        "gallery.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://aws_default@catalogue",
                        "default": "",
                    },
                    "ui_tabs": {
                        "description": "Whether the gallery has a page, and tabs on runs and tasks.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "True",
                    },
                    "signing_certificate": {
                        "description": "Path of the PEM chain, the signer's own certificate first, or the PEM itself, "
                        "with which stored pictures are signed (C2PA); needs the extra ``provenance``.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/etc/segmind/chain.pem",
                        "default": "",
                    },
                    "signing_key": {
                        "description": "Path of the certificate's private key in PEM without a passphrase, or the PEM "
                        "itself.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "sensitive": True,  # without it, Airflow ignores signing_key_cmd and signing_key_secret
                        "example": None,
                        "default": "",
                    },
                    "signing_algorithm": {
                        "description": "es256, es384, es512, ps256, ps384, ps512 or ed25519, as the key has it.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": None,
                        "default": "es256",
                    },
                    "signing_time_stamp_url": {
                        "description": "An RFC 3161 time-stamp authority that is asked for each signature; empty for "
                        "none.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": None,
                        "default": "",
                    },
                    "require_consent": {
                        "description": "Whether a body swap without a ``consent_reference`` is refused before it is "
                        "ordered.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "False",
                    },
                },
            }
        },
        "connection-types": [
            {
                "connection-type": "segmind",
                "hook-class-name": "airflow_provider_segmind.hooks.segmind.SegmindHook",
                "hook-name": "Segmind",
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "schema", "extra"],
                    "relabeling": {"password": "API key", "host": "Base URL"},
                    # The port stays visible: without one, the Test button of Airflow 3.3.2 answers 400.
                    "placeholders": {"password": "SG_…", "host": "https://api.segmind.com", "port": "443"},
                },
                # Every type allows null: otherwise the field would be required.
                "conn-fields": {
                    "auth_scheme": {
                        "label": "Authentication",
                        "description": "auto sends Bearer as documented; on a 401, which is never billed, x-api-key "
                        "once; then the one that worked.",
                        "schema": {
                            "type": ["string", "null"],
                            "enum": ["auto", "bearer", "x-api-key"],
                            "default": "auto",
                        },
                    },
                    "timeout": {
                        "label": "Timeout (seconds)",
                        "description": "How long to wait for an answer, besides 5 to connect; 30 if empty.",
                        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
                    },
                    "requests_per_minute": {
                        "label": "Requests per minute",
                        "description": "What the account's plan allows, for each triggerer: with several, divide it. "
                        "Polls leave 5 % for orders and first looks on workers; give less where there are many. Empty: "
                        "a 429 sets the pace.",
                        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
                    },
                    "trusted_hosts": {
                        "label": "Trusted hosts",
                        "description": "Further hosts that may receive the API key, if Segmind returns poll URLs "
                        "there; separated by commas.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "storage_url": {
                        "label": "Upload URL",
                        "description": "Where pictures are uploaded; empty for https://workflows-api.segmind.com; for "
                        "an emulator: that host.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "history_url": {
                        "label": "Request history URL",
                        "description": "Where the account's request history answers; empty for Segmind's own, "
                        "https://api.spotprod.segmind.com; for an emulator: that host; for any other host: none.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "emulator_host": {
                        "label": "Emulator's host",
                        "description": "The host of an emulator that is reached over http:// in another container.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "verify": {
                        "label": "Check certificates",
                        "description": "true, false, or the path of a CA bundle; true if empty.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "proxies": {
                        "label": "Proxies",
                        "description": 'A JSON object like {"https": "http://proxy:3128"}; empty for those of the '
                        "environment. Not used for an emulator's plain http://.",
                        "schema": {"type": ["string", "null"]},
                    },
                },
            }
        ],
    }
