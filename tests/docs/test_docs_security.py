"""Each promise of the page about security is held by tests that exist: those that are named here."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
HELD_BY: dict[str, tuple[str, ...]] = {
    "It goes to the connection's own host and to `trusted_hosts`, over https, and nowhere else.": (
        "test_the_key_may_go_to_the_connections_host_and_the_trusted_ones",
        "test_a_poll_url_on_another_host_gets_no_key",
        "test_the_key_of_a_changed_connection_is_not_sent_to_its_former_host",
        "test_a_key_that_may_be_real_never_goes_unencrypted_to_another_machine",
    ),
    "No host of a picture gets it.": ("test_no_picture_host_gets_the_key",),
    "No redirect takes it along.": (
        "test_a_redirect_is_not_followed_with_the_key",
        "test_a_redirect_that_a_raw_session_follows_gets_no_key",
    ),
    "Over plain http no proxy sees it.": (
        "test_over_plain_http_no_proxy_sees_the_key",
        "test_an_output_of_an_emulator_over_plain_http_is_fetched_past_every_proxy",
    ),
    "`verify` holds, whatever bundle the environment names.": (
        "test_the_connections_verify_holds_whatever_bundle_the_environment_names",
    ),
    "It is in no log, XCom, event, trigger or rendered template.": (
        "test_the_key_is_in_no_file_that_airflow_wrote",
        "test_the_key_is_masked_in_logs",
        "test_the_key_is_in_no_repr",
    ),
    "An answer that echoes it is cleaned.": (
        "test_a_key_that_the_service_echoes_is_nowhere",
        "test_wherever_a_body_is_cut_no_part_of_a_key_is_left",
    ),
    "A netrc file does not replace it.": ("test_a_netrc_file_does_not_replace_the_key",),
    "Only the password of a connection of type `segmind` is sent.": (
        "test_the_password_of_a_connection_of_another_type_is_sent_to_nobody",
    ),
    "No text is refused by a database or forges a log line.": (
        "test_no_text_of_an_answer_can_forge_a_log_line_or_be_refused_by_a_database",
    ),
    "An event is below 16 KiB.": ("test_an_event_is_small_and_can_be_stored_and_a_log_has_no_forged_line",),
    "No answer ends the triggerer, or leaves a task behind.": (
        "test_no_answer_ends_the_triggerer_or_leaves_a_task_behind",
    ),
    "The work on an answer grows no faster than its size, at most 4 MiB.": (
        "test_the_work_on_an_answer_grows_no_faster_than_its_size",
        "test_more_parts_than_any_answer_has_are_not_read",
    ),
    "Nothing is unpacked beyond its limit.": (
        "test_an_answer_that_unpacks_to_gigabytes_is_taken_as_it_came",
        "test_what_its_host_keeps_compressed_is_whole_and_bounded",
    ),
    "After an answer that is no HTTP, an order's outcome is unknown.": (
        "test_an_answer_that_is_no_http_is_an_error_of_ours_and_an_order_may_have_been_accepted",
    ),
    "A job ends only by its own answer: never by a 5xx, a redirect, a web page or a gateway's 404.": (
        "test_the_end_of_a_job_is_never_told_by_what_failed_to_answer_for_it",
        "test_a_refusal_is_the_end_of_a_job_only_where_it_names_the_job",
        "test_a_gateway_without_a_route_does_not_make_a_job_be_gone",
        "test_a_gateway_that_quotes_the_path_does_not_make_a_job_be_gone",
    ),
    "An end that may be another job's is believed only after 90 s of nothing else.": (
        "test_an_end_that_may_be_of_something_else_is_doubtful",
        "test_a_doubtful_end_is_believed_when_it_stays",
        "test_a_failure_that_may_be_of_another_job_orders_nothing_at_a_retry",
        "test_an_old_date_does_not_shorten_doubt",
    ),
    "A failed lookup of the connection ends no wait.": (
        "test_a_lookup_that_fails_for_a_moment_ends_no_wait",
        "test_waits_in_a_triggerer_go_on_with_the_connection_that_they_have",
        "test_waits_use_the_connection_that_they_have_while_it_cannot_be_looked_up",
    ),
    "A balance that is no number is no balance.": ("test_a_balance_that_cannot_be_read_is_no_balance",),
    (
        "With such a field, a swap shows only files of its DAG's team, or of the DAG, whatever its record, a "
        "manifest or a sidecar names."
    ): (
        "test_a_record_of_one_team_shows_nothing_of_another",
        "test_a_dag_sees_its_own_folder_where_the_id_of_the_dag_is_part_of_it",
        "test_a_manifest_or_sidecar_of_ones_own_does_not_lead_to_another_teams_files",
    ),
    "With `[core] multi_team`, a folder that teams would share is refused.": (
        "test_folders_that_teams_would_share_are_refused_at_start_and_not_shown",
    ),
    "A DAG that takes over another team's id gets none of its pictures.": (
        "test_a_dag_that_moves_to_another_team_takes_no_pictures_along",
    ),
    "No link leads out of a folder, also one made while a file is read.": (
        "test_a_link_in_a_teams_own_folder_does_not_lead_to_another_teams",
        "test_a_folder_that_becomes_a_link_while_it_is_read_leads_nowhere",
    ),
    (
        "Only a review's verdicts can be changed, by people who may answer for the DAG, while it is open, "
        "and by no form of another site."
    ): (
        "test_only_static_files_are_open_to_everybody",
        "test_who_may_only_look_decides_nothing",
        "test_after_its_end_a_review_takes_no_verdict",
        "test_another_site_cannot_send_a_verdict",
    ),
    (
        "One page takes the API server under 100 MB for XComs and 128 MB for a manifest, kept for a minute. "
        "Four requests run at once."
    ): (
        "test_very_many_very_large_xcoms_take_little_memory_and_the_page_says_that_there_are_more",
        "test_a_manifest_of_very_many_lines_takes_its_own_size_of_memory",
        "test_many_large_manifests_take_no_more_than_two",
        "test_who_asks_the_gallery_for_much_leaves_threads_to_the_rest_of_the_api",
        "test_a_manifest_is_kept_while_a_page_asks_for_it_and_then_no_longer",
    ),
    "A new local file is for its owner and group only (0660, less the umask); one that is there keeps its mode.": (
        "test_pictures_of_people_are_for_their_owner_and_group_only",
        "test_a_file_that_is_written_again_keeps_its_mode",
    ),
    "A thumbnail overwrites no other picture.": ("test_a_thumbnail_takes_the_place_of_no_other_picture",),
    (
        "A task reads inputs only below `[segmind] input_roots`; without that option, nothing from `/dev`, "
        "`/etc`, `/proc`, `/run` and `/sys`."
    ): (
        "test_no_task_reads_outside_of_the_folders_that_an_administrator_names",
        "test_no_way_to_write_a_path_leads_out_of_a_folder",
        "test_a_folder_in_a_bucket_is_bound_to_its_connection",
        "test_a_link_that_takes_a_folders_place_is_not_followed",
        "test_without_such_folders_no_task_reads_what_is_the_systems",
    ),
    "A manifest's URL is fetched from public hosts and the connection's own only, without the key.": (
        "test_only_public_hosts_are_asked",
        "test_it_is_read_without_the_key",
    ),
    "Little that unpacks to much, in `.csv.gz` or a workbook, is refused.": (
        "test_little_that_unpacks_to_much_is_refused",
        "test_a_workbook_that_is_made_to_harm_is_refused",
        "test_a_cell_that_is_far_away_costs_little",
    ),
    "Only storages that a provider of Airflow has registered are asked.": (
        "test_a_storage_that_airflow_does_not_know_is_never_asked",
        "test_a_destination_in_such_a_storage_is_refused",
    ),
    (
        "Where a task writes, [the DAG's author](storage.md#who-may-name-which-files) says; never an XCom, a "
        "manifest or a sidecar."
    ): (
        "test_a_file_that_is_written_anew_keeps_its_mode",
        "TestSidecars",
        "TestManifests",
    ),
    "Only what the author wrote is a template, also with `expand_kwargs` and in the triggerer.": (
        "test_what_a_worker_deferred_is_not_rendered_in_the_triggerer",
        "test_in_an_airflow_no_shape_of_a_task_renders_what_came_from_an_xcom",
        "test_what_a_function_returns_is_sent_as_it_is",
    ),
    "No error, log or lineage shows a password, a signature or the content of a file.": (
        "test_no_secret_of_any_uri_is_shown",
        "test_no_error_shows_a_password_or_a_signature",
        "test_no_error_quotes_what_is_in_a_file",
        "test_neither_an_error_nor_what_led_to_it_shows_the_signature_of_a_url",
    ),
    "Neither the key nor a signature is in the memory.": ("test_neither_the_key_nor_a_signature_is_in_the_memory",),
    "Of local paths, a result is read only from the pictures of the memory.": (
        "test_a_path_outside_of_the_memory_is_no_result",
    ),
    "A damaged object of the memory is named, never overwritten, and stops only its own swap.": (
        "test_a_damaged_object_is_named_and_nothing_is_ordered",
        "test_a_damaged_object_stops_only_its_own_swap",
    ),
    "Only the DAG that ordered a picture can have it ordered again by a failed check.": (
        "test_a_picture_that_fails_its_checks_is_ordered_again",
    ),
    "A task that a person marked failed or cleared orders nothing, from the moment Airflow knows it.": (
        "test_a_task_that_was_ended_while_its_worker_started_orders_nothing",
    ),
    "Spoilt storage or a spoilt manifest makes no batch pay again while retries are left.": (
        "test_a_retry_that_meets_bad_files_is_tried_again_and_names_what_is_paid_for",
        "test_a_row_that_says_failed_is_not_paid_for_again_before_segmind_says_so",
    ),
    "Nothing that may pass ends a task for good that has paid.": (
        "test_what_goes_wrong_half_way_is_for_a_retry_and_each_order_is_named",
        "test_a_connection_that_is_wrong_for_a_moment_ends_nothing_that_is_paid_for",
        "test_a_retry_that_cannot_pay_looks_first_and_orders_the_rest_when_it_can",
        "test_a_function_that_returns_no_swap_once_something_is_paid_is_for_a_retry",
    ),
    "An order that the history does not show is sent again only if it shows what still runs.": (
        "test_an_order_that_runs_longer_than_all_others_is_not_ordered_again",
        "test_absence_from_a_history_of_what_has_ended_proves_nothing_however_long_ago",
    ),
    "A batch that a timeout or a kill ends leaves the id of each accepted order in the log.": (
        "test_a_batch_that_is_ended_by_its_timeout_names_what_is_paid_for",
        "test_what_a_killed_batch_ordered_is_in_its_log_and_its_xcom",
    ),
    "A refusal by something in between does not count as one.": (
        "test_an_order_that_may_have_been_accepted_is_an_unknown_outcome_and_never_retryable",
    ),
    "What is ordered again on purpose lists all that the order before can be.": (
        "test_what_is_ordered_again_lists_all_that_the_order_before_can_be",
        "test_a_row_that_was_ordered_again_lists_all_that_the_order_before_can_be",
    ),
    "Lost answers, outages and kills lose no order without its id in an error, where the history shows it.": (
        "test_no_storm_loses_an_order_without_its_id_in_an_error_or_pays_twice",
    ),
    "A history that never answers or never ends holds a worker for minutes only.": (
        "test_a_history_that_never_answers_or_never_ends_holds_the_worker_of_a_batch_for_minutes",
        "test_the_wait_for_a_history_that_never_answers_is_bounded_by_time",
    ),
    "Where two orders cannot be told apart, that is said, and each charge is named.": (
        "test_an_adopted_order_that_another_run_may_own_is_said_to_be_shared",
        "test_what_the_history_showed_is_named_by_every_later_error",
        "test_a_tag_tells_orders_of_the_same_urls_apart_and_changes_no_picture",
    ),
    "Results are fetched from public addresses only. A service on the worker's own public address is not recognised.": (
        "test_special_addresses_are_refused",
    ),
    "One module opens pictures, with the decoders of one list.": (
        "test_one_module_opens_pictures",
        "test_no_decoder_is_reached_that_nobody_asked_for",
    ),
    "A server or proxy that drips bytes holds a worker no longer than the timeout.": (
        "test_an_answer_that_drips_for_ever_is_given_up",
        "test_an_answer_that_drips_for_ever_over_tls_is_given_up",
        "test_a_proxy_that_drips_for_ever_is_given_up_and_nothing_was_sent",
        "test_every_connection_of_a_download_is_bound_to_its_time",
    ),
    "Bytes, pixels, scans, parts and metadata are bounded; all threads of a process share one limit of pixels.": (
        "test_pictures_that_threads_decode_share_one_limit",
        "test_a_jpeg_of_very_many_scans_is_refused",
        "test_a_file_in_very_many_parts_is_refused_before_a_decoder_sees_it",
        "test_a_small_file_whose_packet_is_large_takes_little_memory",
    ),
    "A decoder gets only what makes a file's pixels. Of EXIF, only the orientation is read.": (
        "test_what_a_decoder_sees_does_not_grow_with_what_makes_no_pixels",
        "test_tags_that_share_their_bytes_take_no_memory_each",
        "test_a_gap_in_a_jpeg_is_passed_in_one_step_and_kept_from_the_decoder",
    ),
    "A HEIC or AVIF that is too large is refused before a decoder makes room for it.": (
        "test_a_file_that_says_it_is_huge_is_refused_before_a_decoder_makes_room",
        "test_a_heic_that_lies_about_its_size_is_refused_at_no_cost",
        "test_an_avif_that_lies_about_its_size_is_refused_at_no_cost",
        "test_packed_metadata_are_hidden_from_the_decoder",
    ),
    "A paid picture that is too large to be decoded is stored, without a thumbnail.": (
        "test_a_webp_is_refused_with_its_size_before_there_is_room_for_it",
        "test_a_paid_picture_that_is_too_large_to_be_decoded_is_stored_without_a_thumbnail",
    ),
    "The process that checks a batch has no key in its environment and can open nothing.": (
        "test_whoever_takes_a_decoder_over_finds_no_key_and_can_open_nothing",
    ),
    "No web page drives it or reads from it, whatever name it gives itself.": (
        "test_a_page_of_another_origin_changes_nothing",
        "test_an_order_without_a_body_needs_what_a_page_cannot_send_too",
        "test_a_page_changes_nothing_reads_nothing_and_sees_the_pictures",
        "test_a_page_whose_name_comes_to_mean_this_machine_reads_nothing",
    ),
    "A real key that was sent to it by mistake is shown to nobody.": (
        "test_a_real_key_that_was_sent_by_mistake_is_shown_to_nobody",
        "test_a_real_key_is_shown_to_nobody_in_whatever_characters_it_was_sent",
        "test_a_key_of_any_form_is_shown_to_nobody_where_it_is_called_one",
        "test_a_key_of_any_form_is_shown_to_nobody_anywhere_once_it_was_sent_as_one",
    ),
    "An upload that could hold a script is no page.": ("test_an_upload_that_could_hold_a_script_is_no_page",),
}
"""The tests that hold a promise, by its words."""
BEGIN, END = "## The API key", "## Known faults"


def promises() -> list[str]:
    """Return the items of the lists between two headings, each without its line breaks."""
    part = PAGE[PAGE.index(BEGIN) : PAGE.index(END)]
    return [" ".join(item.split()) for item in re.findall(r"^\* (.*(?:\n  .*)*)", part, re.MULTILINE)]


def test_each_promise_is_held_by_tests() -> None:
    assert promises() == list(HELD_BY)
    assert all(HELD_BY.values())


def test_the_tests_that_hold_promises_exist() -> None:
    tests = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"(?:def|class) (test_\w+|Test\w+)", file.read_text())
    }
    named = {name for names in HELD_BY.values() for name in names}
    assert named <= tests, f"there are no such tests: {sorted(named - tests)}"
