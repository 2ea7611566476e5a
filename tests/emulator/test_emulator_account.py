from __future__ import annotations

import email.utils
import threading
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_segmind.emulator.state import RateWindow


def test_each_accepted_submit_is_one_bill(client, emulator):
    emulator.set(credits=1.0, free_credits=0.1, price=0.3)
    request_id = client.submit().json()["request_id"]
    (charge,) = emulator.charges
    assert (charge.request_id, charge.amount, charge.inputs) == (request_id, 0.3, client.inputs())
    assert client.request("GET", "/v1/get-user-credits").json() == {"credits": 0.8, "free-credits": 0.0}


def test_polls_uploads_and_refusals_cost_nothing(client, emulator):
    url = client.job()
    for _ in range(3):
        client.poll(url)
    client.request("POST", "/upload-asset", json={})
    client.submit(headers={"Authorization": "Bearer wrong"})
    assert len(emulator.charges) == 1


def test_the_balance_pays_for_exactly_as_many_jobs_as_it_covers(client, emulator):
    emulator.set(credits=0.3, price=0.1)
    assert [client.submit().status_code for _ in range(4)] == [200, 200, 200, 406]
    assert "Insufficient credits" in client.submit().json()["error"]
    assert len(emulator.charges) == 3


def test_a_body_swap_without_its_pictures_runs_on_the_vendors_and_bills(client, emulator):
    """As the real service does: it is the client that must prevent this."""
    assert client.submit(json={"charcter_image": "https://x/typo.png"}).status_code == 200
    (charge,) = emulator.charges
    assert charge.defaulted == ("reference_character_image", "character_image", "select_character")
    assert charge.ignored == ("charcter_image",)
    assert charge.amount == 0.2687


def test_concurrent_submits_are_each_billed_once(client, emulator):
    emulator.set(credits=20 * 0.2687)
    threads = [threading.Thread(target=client.submit) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(emulator.charges) == len({charge.request_id for charge in emulator.charges}) == 20


def test_over_the_rate_limit_requests_are_429_and_not_carried_out(client, emulator):
    emulator.set(requests_per_minute=2)
    assert [client.submit().status_code for _ in range(3)] == [200, 200, 429]
    assert len(emulator.charges) == 2


def test_the_rate_limit_lets_in_again_once_its_window_has_passed(client, emulator, clock):
    emulator.set(requests_per_minute=1, rate_window=300)
    assert client.submit().status_code == 200
    assert client.submit().status_code == 429
    clock.sleep(299)
    assert client.submit().status_code == 429
    clock.sleep(1)
    assert client.submit().status_code == 200


def test_files_are_outside_the_rate_limit(client, emulator):
    emulator.set(requests_per_minute=0)
    assert client.request("GET", "/assets/x.png").status_code == 404


@pytest.mark.parametrize("form", ["retry-after", "http-date", "reset", "reset-epoch", "none"])
def test_a_429_tells_the_wait_in_the_chosen_form(client, emulator, clock, form):
    emulator.set(requests_per_minute=0, rate_limit_headers=form)
    earliest = clock() + 60 - 1  # an HTTP date has whole seconds
    answer = client.submit()
    assert answer.status_code == 429
    retry_after, reset = answer.headers.get("Retry-After"), answer.headers.get("x-rate-limit-reset-at-utc")
    latest = clock() + 60 + 1
    if form == "retry-after":
        assert retry_after == "60"
    elif form == "http-date":
        assert earliest <= email.utils.parsedate_to_datetime(retry_after).timestamp() <= latest
    elif form == "reset":
        assert earliest <= datetime.fromisoformat(reset).timestamp() <= latest
    elif form == "reset-epoch":
        assert earliest <= float(reset) <= latest
    assert (retry_after is None) == (form in ("reset", "reset-epoch", "none"))
    assert (reset is None) == (form in ("retry-after", "http-date", "none"))


def test_a_limit_lowered_while_running_holds_at_once():
    window = RateWindow()
    for second in range(5):
        assert window.take(float(second), 5, 60) == 0
    assert window.take(5.0, 2, 60) == 58
    assert window.take(63.5, 2, 60) == 0


def test_history_lists_requests_with_cost_inputs_and_outcome(client, emulator):
    ids = [client.submit().json()["request_id"] for _ in range(3)]
    page = client.request("GET", "/inference-request/request-history?page=1&per_page=2").json()
    assert [row["request_id"] for row in page["data"]] == [ids[2], ids[1]]
    row = page["data"][0]
    assert (row["model_status"], row["credits_deduction"], row["error"]) == ("COMPLETED", 0.2687, None)
    assert row["request_body"] == client.inputs()
    assert row["generation_url"].startswith(emulator.url)
    second = client.request("GET", "/inference-request/request-history?page=2&per_page=2").json()
    assert [row["request_id"] for row in second["data"]] == [ids[0]]
    one = client.request("GET", f"/inference-request/request-history/{ids[0]}").json()
    assert one["request_id"] == ids[0]


def test_history_filters_by_status_and_by_day(client, emulator):
    client.submit()
    emulator.set(job_polls=1)
    client.submit()
    today = datetime.now(UTC).date()
    before = today - timedelta(days=5)

    def found(query: str) -> int:
        return client.request("GET", f"/inference-request/request-history?{query}").json()["total"]

    assert found("status=PENDING") == found("status=COMPLETED") == 1
    assert found(f"from_date={before}&to_date={before + timedelta(days=2)}") == 0
    assert found(f"from_date={before}&to_date={today}") == 2


@pytest.mark.parametrize("query", ["per_page=101", "page=0", "page=x", "from_date=2026-01-01&to_date=2026-03-01"])
def test_history_refuses_what_the_real_one_does_not_offer(client, query):
    assert client.request("GET", f"/inference-request/request-history?{query}").status_code == 400


def test_history_can_be_absent(client, emulator):
    emulator.set(history=False)
    assert client.request("GET", "/inference-request/request-history").status_code == 404
