"""The faults that are tried, each with the tests that make it and what they hold the run to.

What came of it is not written here: it is in record.json, where the tests' own results go.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table.

    Attributes:
        area: the table that it stands in.
        fault: what happens to the run.
        made: how.
        holds: what the tests assert.
        tests: functions, as pytest names them.
    """

    area: str
    fault: str
    made: str
    holds: str
    tests: tuple[str, ...]


SAME = "the same tables"
STORAGE, WORKERS, ENGINE, DATA, CLUSTER = "Storage", "Workers", "Engine", "Data", "Clusters and size"
SERVICE = "The moderation service and the guard"
HOSTILE = "Hostile and ordinary data"
PEOPLE = "Audits of generators, reports and reviews"


def _tests(file: str, *names: str) -> tuple[str, ...]:
    folder, _, stem = file.rpartition("/")
    return tuple(f"tests/{folder}/test_{stem}.py::{name}" for name in names)


FAULTS = (
    Fault(
        STORAGE,
        "any one call of the run's storage fails",
        "a wrapper fails at the Nth call of annotate and filter, for every N: time-out before or after it took effect, "
        "EIO, ENOSPC once, ENOSPC from then on, connection lost from then on",
        f"time-outs: the run gets over each by itself; else one line and exit code 2; the next run ends in {SAME}, no "
        "temporary file is left, `verify` finds nothing",
        _tests("storage/faults", "test_whatever_call_fails_the_next_run_ends_in_the_same_tables"),
    ),
    Fault(
        STORAGE,
        "the disk is really full",
        "output on a tmpfs of 1/20, 2/20, ... 19/20 of what the run needs, the same folder again and again",
        f'exit code 2, one line ("free some space"), nothing half-written; with room {SAME}',
        _tests("end_to_end/full_disk", "test_a_disk_that_fills_up_again_and_again"),
    ),
    Fault(
        STORAGE,
        "the disk turns read-only",
        "`remount,ro` while samples are judged",
        f'exit code 2, one line ("make it writable"); writable again, {SAME}',
        _tests("end_to_end/full_disk", "test_a_disk_that_turns_read_only"),
    ),
    Fault(
        STORAGE,
        "requests lost, answers lost, answers cut in the middle, 500 and 503 in bursts, slow answers",
        "a proxy between the command and a real S3 server, on sources and output, meets an eighth of all requests with "
        "one of them, from a seed",
        f"exit code 0, {SAME} as a run into a local folder",
        _tests("end_to_end/s3_run", "test_a_network_that_fails_changes_nothing"),
    ),
    Fault(
        STORAGE,
        "a worker on S3 killed",
        "SIGKILL",
        f"two others take over after the lease; {SAME}",
        _tests("end_to_end/s3_run", "test_killed_workers_in_a_bucket_are_replaced"),
    ),
    Fault(
        STORAGE,
        "an S3 server without conditional writes",
        "the proxy refuses If-None-Match; a server of our own ignores or refuses it",
        f"found out at the start, said in one line; each worker has a fixed share; {SAME}",
        (
            *_tests("end_to_end/s3_run", "test_without_conditional_writes_each_worker_has_a_fixed_share"),
            *_tests("storage/store", "test_a_server_without_conditional_writes_is_found_out"),
        ),
    ),
    Fault(
        STORAGE,
        "wrong keys, no credentials, no such profile, no such bucket",
        "environment of the command",
        "exit code 2, one line, no retries",
        _tests("end_to_end/s3_run", "test_what_the_bucket_refuses_is_one_line"),
    ),
    Fault(
        STORAGE,
        "a source that resets, times out or throttles while it is read",
        "a file system that raises what the real ones do",
        "read on from the same byte; one that stays away leaves the shard to a later run",
        _tests(
            "sources/faults",
            "test_what_passes_costs_no_byte",
            "test_what_does_not_pass_is_not_tried_again",
            "test_a_storage_that_stays_away_leaves_the_shard_to_a_later_run",
            "test_samples_are_those_of_an_undisturbed_reading",
        ),
    ),
    Fault(
        STORAGE,
        "a file system without hard links",
        "`os.link` that fails as FAT's and mounted buckets' do",
        "works, with fixed shares",
        _tests("storage/store", "TestLocalStore::test_without_hard_links_it_works_and_says_that_it_does_not_arbitrate"),
    ),
    Fault(
        STORAGE,
        "`compact` stops at any one call, before or after that took effect",
        "a wrapper, from a run with and without parts; every call (every seventh in CI)",
        "every reader and the card find each row once; the next `compact` ends it",
        _tests("runs/compaction/rewriting", "test_killed_at_any_call_nothing_is_lost_and_the_next_one_ends_it"),
    ),
    Fault(
        STORAGE,
        "readers at every moment of a compaction",
        "with an index read before it",
        "each row once, the same rows",
        _tests("runs/compaction/rewriting", "test_readers_find_every_row_once_at_every_moment"),
    ),
    Fault(
        STORAGE,
        "a worker that wakes up after a compaction and publishes a file of its own",
        "the file put beside its part",
        "does not count, is deleted by the next `compact`",
        _tests("runs/compaction/rewriting", "test_a_file_that_a_late_worker_leaves_beside_its_part_changes_nothing"),
    ),
    Fault(
        WORKERS,
        "one to four workers on one folder die",
        "SIGKILL at random moments from a seed, restarted or not; the fake engine",
        SAME,
        _tests("end_to_end/kills", "test_killed_workers_leave_the_same_tables"),
    ),
    Fault(
        WORKERS,
        "a worker dies where the most is unsaved",
        "SIGKILL while a picture of each of two long shards, which never comes back, holds up what is finished behind "
        "it; a clock of the test's own for the time",
        "fewer than 1,000 images are judged twice; nothing new begins once something has waited for half a minute, and "
        "a checkpoint is due after another half",
        (
            *_tests(
                "annotation/reorder_buffer",
                "test_a_kill_costs_less_than_1000_images_even_where_a_slow_one_holds_up_the_others",
                "test_rows_and_backlog_together_stay_within_the_bounds",
                "test_nothing_begins_while_what_is_finished_waits_for_half_a_minute",
                "test_nothing_begins_while_too_much_is_begun_over_all_shards",
            ),
            *_tests("runs/journal", "test_a_checkpoint_is_due_after_half_a_minute_or_when_the_rows_are_many"),
        ),
    ),
    Fault(
        WORKERS,
        "SIGTERM, SIGINT, SIGUSR1",
        "sent while samples are judged",
        f"exit code 75, checkpointed, claims given back; the next run ends in {SAME}",
        _tests("end_to_end/run", "test_a_drained_run_says_so_and_goes_on"),
    ),
    Fault(
        WORKERS,
        "Ctrl-C while something holds a command up: a library, threads, code that takes every exception for its own",
        "a function of run, filter, verify, compact, status that never ends, with processes that ignore signals",
        "exit code 75 without a second one, one line that says what was interrupted, no traceback, no process and no "
        "engine's folder left",
        _tests(
            "processes/interruption",
            "test_whatever_holds_it_up_it_ends",
            "test_a_model_that_loads_in_a_thread_is_not_waited_for",
            "test_without_a_terminal_it_is_one_plain_line",
        ),
    ),
    Fault(
        WORKERS,
        "Ctrl-C while samples are judged, and again; while a safeguard is tuned",
        "on a terminal, with one and two engine processes; in a step of a tuning",
        f"says what it finishes, a second one ends it, claims are given back; {SAME}, the same losses",
        (
            *_tests(
                "processes/interruption",
                "test_a_drain_says_what_it_finishes_and_a_second_ctrl_c_ends_it",
                "test_what_was_finished_by_a_drain_is_kept",
            ),
            *_tests("tuning/tune", "test_ctrl_c_lets_a_tuning_finish_its_step_and_keep_it"),
        ),
    ),
    Fault(
        WORKERS,
        "clocks two hours apart",
        "two workers in PID and host name namespaces of their own, one an hour ahead, one behind",
        f"no sample judged twice; {SAME}",
        _tests("end_to_end/two_hosts", "test_clocks_two_hours_apart_do_not_break_a_lease"),
    ),
    Fault(
        WORKERS,
        "a worker wakes up after its lease",
        "SIGSTOP, another takes over, SIGCONT",
        f"it ends without harm; {SAME}",
        _tests("end_to_end/two_hosts", "test_a_worker_that_wakes_up_after_its_lease_spoils_nothing"),
    ),
    Fault(
        ENGINE,
        "vLLM's worker or its engine process dies",
        "SIGKILL of either at a random moment from a seed",
        "the worker restarts its engine, the next start goes on for a worker; the rows of an undisturbed run, `verify` "
        "finds nothing",
        _tests("end_to_end/vllm_kills", "test_a_run_killed_at_a_random_moment_goes_on_to_the_same_rows"),
    ),
    Fault(
        ENGINE,
        "a run with vLLM is killed, and the next interrupted",
        "SIGKILL, then SIGINT to the whole process group",
        "exit code 75, the engine goes on until the drain ends; the third run ends with the rows of an undisturbed one",
        _tests("end_to_end/run_vllm", "test_a_killed_and_a_drained_run_equals_an_undisturbed_one"),
    ),
    Fault(
        ENGINE,
        "Ctrl-C at 30 moments of a run with vLLM, from the first on",
        "on a terminal of its own, spread over its importing, loading, judging and splitting",
        "it ends by itself, or says what it finishes; one line, no traceback, no process and no engine's folder left; "
        "the next run ends with the rows of an undisturbed one, `verify` finds nothing",
        _tests("processes/interruption", "test_at_thirty_moments_of_a_real_run"),
    ),
    Fault(
        ENGINE,
        "SIGTERM to every process of a run with vLLM, the engine's own too",
        "as SLURM ends a job step",
        "exit code 75, the engine finishes what is in flight, all of it is kept; no process is left",
        _tests("end_to_end/run_vllm", "test_sigterm_to_every_process_lets_the_engine_finish_what_is_in_flight"),
    ),
    Fault(
        ENGINE,
        "one of two engine processes of a command killed; both killed",
        "SIGKILL; the fake engine",
        f"named, the other takes its shards: exit code 0, {SAME}; both: exit code 1, and the next run ends in {SAME}",
        _tests(
            "launch/node",
            "test_what_a_killed_process_held_is_taken_over",
            "test_where_all_are_killed_the_rest_is_named_and_done_by_the_next_run",
        ),
    ),
    Fault(
        ENGINE,
        "signals to a command with two engine processes",
        "SIGTERM, SIGINT to its whole group, also while they load",
        "exit code 75, all drained, claims given back; while loading at once",
        _tests(
            "launch/node",
            "test_a_signal_to_the_whole_group_drains_every_process",
            "test_a_signal_while_models_load_ends_at_once",
        ),
    ),
    Fault(
        ENGINE,
        "a command with two engine processes is killed",
        "SIGKILL",
        f"no process is left; the next run ends in {SAME}",
        _tests("launch/node", "test_all_processes_end_with_their_parent"),
    ),
    Fault(
        ENGINE,
        "the engine dies or hangs at one input",
        "an engine that does so whenever it is asked about that picture",
        "restarted, what was in flight replayed one at a time, that input `engine_failure`, nothing else",
        _tests(
            "engines/supervised",
            "test_only_the_killers_are_quarantined",
            "test_a_hanging_engine_is_one_that_died",
            "test_a_death_that_does_not_repeat_costs_nothing",
            "test_an_engine_that_never_answers_is_given_up",
        ),
    ),
    Fault(
        ENGINE,
        "vLLM's engine process is killed or stopped under way",
        "SIGKILL, SIGSTOP",
        "noticed, and no process is left",
        _tests(
            "engines/vllm_engine",
            "test_an_engine_killed_before_its_first_request_is_missed_at_once",
            "test_an_engine_that_hangs_or_dies_under_way_is_dead_and_leaves_nothing",
        ),
    ),
    Fault(
        ENGINE,
        "the parent of vLLM's engine is killed",
        "SIGKILL, while the engine runs and while it still imports vLLM",
        "the engine ends by itself",
        _tests(
            "engines/vllm_engine",
            "test_the_engine_ends_with_a_parent_that_was_killed",
            "test_the_engine_ends_with_a_parent_that_was_killed_while_it_imports_vllm",
        ),
    ),
    Fault(
        ENGINE,
        "a killed process leaves its engine's log and sockets in the folder for temporary files",
        "SIGKILL of a folder's owner",
        "the next engine on the machine removes them, and nothing that a living one owns",
        _tests(
            "engines/engine_folder",
            "test_the_folder_of_a_killed_owner_is_removed_by_the_next_engine_and_a_living_one_s_is_not",
        ),
    ),
    Fault(
        ENGINE,
        "implausibly many failures",
        "answers that do not parse",
        "exit code 3, the most common reason",
        _tests("end_to_end/run", "test_too_many_failures_stop_the_run"),
    ),
    Fault(
        DATA,
        "damaged and odd tars",
        "from a seed: names doubled, absolute, with `..`, NUL or no UTF-8, sidecars that do not parse; bytes changed, "
        "lost and put in, with checksums that agree; gzip, Zstandard; cut off, garbage behind",
        "a row for each sample, a name for each broken shard, no crash, memory bounded; `verify` agrees",
        _tests("end_to_end/fuzz", "test_damaged_and_odd_tars"),
    ),
    Fault(
        DATA,
        "damaged and odd Parquet files",
        "from a seed: six codecs, five page layouts, nulls, other schemas, nested, dictionary and large columns; bytes "
        "changed, lost and put in, in footers and pages; cut off",
        "as above",
        _tests("end_to_end/fuzz", "test_damaged_and_odd_parquet_files"),
    ),
    Fault(
        DATA,
        "damaged and odd images",
        "from a seed: six formats in all their modes, from 1 x 1 on; cut off, garbage behind, bombs, files that are "
        "two things at once, bytes changed",
        "as above; a status each",
        _tests("end_to_end/fuzz", "test_damaged_and_odd_images"),
    ),
    Fault(
        DATA,
        "a decoder crashes its process",
        "a renderer that exits at one picture",
        "that input `undecodable`, nothing else",
        _tests("annotation/preprocess_pool", "test_a_picture_that_kills_its_worker_fails_alone"),
    ),
    Fault(
        DATA,
        "a tar that breaks off, later repaired",
        "cut in the middle of a member",
        "judged as far as it goes, the damage recorded; judged again when its version changes",
        _tests("end_to_end/run", "test_a_shard_that_breaks_off_is_judged_as_far_as_it_goes_and_again_when_repaired"),
    ),
    Fault(
        DATA,
        "a shard that changes or vanishes between plan and reading, or has no member",
        "other bytes, unlinked; a tar of nothing",
        "named, the others judged; put back, the next run judges it and no failure is left",
        _tests(
            "end_to_end/bad_data",
            "test_a_shard_that_vanishes_or_changes_is_named_and_judged_when_it_is_back",
            "test_a_tar_without_members_is_a_shard_without_rows",
        ),
    ),
    Fault(
        DATA,
        "hostile names, captions of 10,000 characters, sidecars that do not parse",
        "one tar: names with `..`, absolute, with NUL, not UTF-8",
        "a row each, splits with the same bytes, nothing written elsewhere",
        _tests("end_to_end/bad_data", "test_hostile_names_and_sidecars_cost_nothing"),
    ),
    Fault(
        CLUSTER,
        "a SLURM array of four: a task cancelled, one requeued, one preempted",
        "a real SLURM on the machine, a partition of higher priority",
        f"{SAME} as a local run",
        _tests("launch/slurm", "test_a_disturbed_array_equals_a_local_run"),
    ),
    Fault(
        CLUSTER,
        "a SLURM array with no shared folder for its data: sources and output in a bucket",
        "the same SLURM, two tasks, and a real S3 server",
        f"{SAME} as a local run; server and credentials come from the environment, no script holds them",
        _tests("launch/slurm", "test_an_array_with_sources_and_output_in_a_bucket_equals_a_local_run"),
    ),
    Fault(
        CLUSTER,
        "the time limit of a SLURM task",
        "the same SLURM",
        "drained, requeued, finished",
        _tests("launch/slurm", "test_a_task_drains_before_its_time_limit_and_goes_on"),
    ),
    Fault(
        CLUSTER,
        "100,000 shards (2,000 in CI)",
        "a run's folder with half of them finished",
        "status counts all; the last claim costs what the first does",
        _tests(
            "end_to_end/scale",
            "test_status_counts_them_all",
            "test_claiming_costs_the_same_for_the_last_shard_as_for_the_first",
        ),
    ),
    Fault(
        SERVICE,
        "a picture that is broken, a decompression bomb, an animation, of no known format; an answer that is none",
        "each by itself and beside a good one, to each of the three contracts",
        "413 or 422, and no result for the good one either",
        _tests("serving/answering", "test_a_picture_that_is_not_judged_is_an_error"),
    ),
    Fault(
        SERVICE,
        "a request of a gigabyte, one that declares it, one that does not arrive",
        "base64 without end, Content-Length, a body that stops",
        "413 or 408, nothing of it held",
        _tests(
            "serving/answering",
            "test_a_request_that_is_too_long_is_refused_before_it_is_read",
            "test_a_base64_of_a_gigabyte_is_never_held",
            "test_a_request_that_does_not_arrive_is_given_up",
        ),
    ),
    Fault(
        SERVICE,
        "more requests than are held, by number and by bytes; more than a token may",
        "256 clients at once",
        "429 and when to come again; answered afterwards",
        (
            *_tests("serving/load", "test_overload_is_told_at_once_and_passes"),
            *_tests("serving/answering", "test_bytes_are_bounded_too"),
            *_tests(
                "serving/admission",
                "test_a_token_has_its_pictures_a_minute_and_is_told_when_there_are_more",
                "test_a_token_has_its_pictures_at_once",
            ),
        ),
    ),
    Fault(
        SERVICE,
        "a client that hangs up, also while the engine is restarted; an answer that takes too long",
        "the connection closed, an engine that hangs",
        "its place is free, 503; no restart is left half done",
        (
            *_tests(
                "serving/answering",
                "test_a_client_that_hangs_up_frees_its_place",
                "test_an_answer_that_takes_too_long_is_an_error_that_may_be_tried_again",
            ),
            *_tests("engines/supervised", "test_whoever_stops_waiting_leaves_no_restart_half_done"),
        ),
    ),
    Fault(
        SERVICE,
        "engines that die under load",
        "20 kills of the fake engine, and of vLLM's own process (2 in CI), at random moments",
        "each request ends in the verdict on its own picture or in an error; what is asked next is judged",
        (
            *_tests("serving/load", "test_engines_that_die_under_load_cost_errors_and_no_wrong_answer"),
            *_tests("serving/with_vllm", "test_engines_that_are_killed_under_load_cost_errors_and_no_wrong_answer"),
        ),
    ),
    Fault(
        SERVICE,
        "a picture that kills the engine; an engine that cannot be kept alive",
        "the fake engine",
        "422 for that picture alone; 503, and the service ends with exit code 1",
        _tests(
            "serving/answering",
            "test_a_picture_that_kills_the_engine_costs_itself_alone",
            "test_an_engine_that_cannot_be_kept_alive_ends_the_service",
        ),
    ),
    Fault(
        SERVICE,
        "SIGTERM with requests in flight",
        "a picture in the engine",
        "answered, exit code 0",
        _tests("serving/server", "test_it_answers_logs_and_drains_at_a_signal"),
    ),
    Fault(
        SERVICE,
        "links that lead inside: by redirect, by a name that is rebound, by addresses in other spellings, by IPv6 ones "
        "that stand for IPv4 ones, by what stands before an @",
        "each against a resolver and a server of the test's own",
        "400, nothing asked there",
        _tests(
            "serving/fetching",
            "test_addresses_that_are_nobodys_business",
            "test_other_places_are_not_even_looked_up",
            "test_a_name_that_leads_inside_is_refused_even_if_only_one_of_its_addresses_does",
            "test_a_name_is_looked_up_once_and_the_address_that_was_checked_is_the_one_asked",
            "test_a_link_that_leads_on_or_to_too_much_or_nowhere",
        ),
    ),
    Fault(
        SERVICE,
        "a policy of a request's own with marks of turns, images, control characters, or that is none",
        "each of them",
        "400",
        _tests("serving/judge_endpoint", "test_a_forged_policy_is_refused"),
    ),
    Fault(
        SERVICE,
        "requests of any form",
        "schemathesis, from the OpenAPI page, valid and not",
        "answered as the page says, none with 500",
        _tests("serving/openapi_fuzz", "test_whatever_is_asked_is_answered_as_described"),
    ),
    Fault(
        SERVICE,
        "a guard whose service is gone, dies, is closed, or answers what is no decision on this picture",
        "each; in the safety checker, the wrapper and the modular block of diffusers, too",
        "an exception, and no picture",
        (
            *_tests(
                "guard/client",
                "test_a_process_that_dies_is_no_pass",
                "test_a_service_that_is_gone_is_no_pass",
                "test_closing_ends_whoever_waits",
                "test_what_is_no_decision_on_this_picture_is_no_pass",
            ),
            *_tests("guard/safety_checker", "test_a_guard_that_dies_ends_the_pipeline"),
            *_tests("guard/guarded_pipeline", "test_a_guard_that_dies_ends_the_pipeline"),
            *_tests("guard/modular_block", "test_it_ends_the_pipeline_where_nobody_judges"),
        ),
    ),
    Fault(
        HOSTILE,
        "data that would act: paths and addresses in place of pictures, links out of a folder, a policy that names "
        "variables, conditions that look at other rows",
        "each of them, in every format that may hold it",
        "nothing is read, opened or resolved; the row says what was there",
        (
            *_tests(
                "sources/sources",
                "TestHub::test_a_row_makes_the_machine_read_no_other_file_and_open_no_address",
            ),
            *_tests(
                "sources/texts_and_lists",
                "test_paths_read_what_is_below_the_folder_and_a_picture_and_nothing_else",
                "test_commands_are_not_run",
            ),
        ),
    ),
    Fault(
        HOSTILE,
        "secrets of storages and signed addresses",
        "a server that checks signatures, which change midway; options of a storage",
        "in no file of the run and in no message; the run goes on under other signatures",
        _tests(
            "end_to_end/secrets",
            "test_a_run_goes_on_with_other_signatures",
            "test_what_a_server_refuses_is_told_without_the_signature",
            "test_a_run_that_was_begun_with_signatures_in_its_plan_goes_on_without_them",
            "test_options_of_a_storage_are_asked_for_again_where_they_are_used",
            "test_a_wrong_argument_is_quoted_without_its_secret",
        ),
    ),
    Fault(
        HOSTILE,
        "further pictures of a sample, under any name and in any column, and further frames, pages and views",
        "random tars and tables of every such kind, under one policy and two; every byte string of what is called "
        "clean is then opened by Pillow",
        "each was judged Safe, or the sample is not in `clean`; `verify` finds nothing",
        _tests(
            "end_to_end/several_pictures",
            "test_whatever_a_tar_holds_nothing_unjudged_is_clean",
            "test_whatever_columns_hold_nothing_unjudged_is_clean",
            "test_what_is_left_out_by_choice_keeps_a_sample_out_of_clean",
            "test_frames_that_are_asked_for_are_judged",
            "test_a_source_with_a_further_picture_is_not_the_one_that_was_judged",
        ),
    ),
    Fault(
        HOSTILE,
        "links, hidden files, twins of macOS, sparse members, names without a suffix, captions behind all the images, "
        "archives that give nothing",
        "each in a tar or a folder",
        "judged where it can be, else counted by reason with a name in commit, plan, summary, card and `verify`; exit "
        "code 2 where nothing was given",
        _tests(
            "sources/passed_over",
            "test_members_that_belong_to_no_sample",
            "test_sparse_members_are_counted_and_cost_nobody_else",
            "test_keys_that_come_back_are_noticed",
            "test_what_lies_in_a_folder",
            "test_it_is_said_everywhere",
            "test_a_run_that_gave_nothing_says_so_last_and_is_not_a_success",
        ),
    ),
    Fault(
        HOSTILE,
        "one sample, file or shard that no code has foreseen, or that is larger than anything",
        "errors that no decoder, image processor or reader is known for; a shard that ends whoever reads it; "
        "a caption of 300 MB in a few kilobytes; samples beyond what can be copied",
        "a status for the sample, or a shard that is named and left out (after eight workers); the run goes on",
        (
            *_tests(
                "annotation/preprocess_pool",
                "test_what_a_decoder_comes_upon_is_the_fate_of_that_picture_alone",
                "test_what_a_renderer_comes_upon_is_the_fate_of_that_picture_alone",
            ),
            *_tests(
                "end_to_end/bad_data",
                "test_a_reader_that_fails_in_a_way_nobody_knows_costs_its_shard_alone",
                "test_a_shard_that_ends_every_worker_is_left_out_in_the_end",
                "test_a_sidecar_is_no_larger_in_a_row_than_can_be_read",
                "test_what_is_too_large_to_be_copied_is_failed_and_said",
            ),
        ),
    ),
    Fault(
        HOSTILE,
        "data that grow, are copied anew or lie elsewhere, in the middle of a run and behind its end",
        "copies with other times, other orders, other mounts, folders with more files, lifted limits",
        "the run goes on, or one line names the way that works",
        (
            *_tests(
                "runs/growth",
                "test_copies_go_on_where_a_run_stopped",
                "test_order_alone_is_no_difference",
                "test_what_was_judged_and_has_changed_is_said",
                "test_a_finished_run_says_that_its_folder_has_more",
                "test_the_way_that_is_named_for_a_folder_that_grew_past_its_last_shard_works",
            ),
            *_tests("end_to_end/several_pictures", "test_a_limit_counts_samples_and_cuts_none"),
        ),
    ),
    Fault(
        HOSTILE,
        "a worker that lost its shard, and results of another source, limit or fingerprint in its place",
        "each, at the moment between a file and its commit",
        "nothing of it is believed or deleted without the claim; the next run ends in the rows of what is there",
        _tests(
            "runs/results",
            "test_a_file_that_was_never_committed_is_not_taken_for_that_of_another_source",
            "test_a_file_of_a_lower_limit_is_not_committed_for_a_higher_one",
            "test_what_a_living_worker_is_at_is_left_to_it",
            "test_who_lost_the_claim_leaves_an_unfinished_shard_as_it_is",
            "test_a_commit_of_a_file_that_is_gone_does_not_stand_in_the_way",
        ),
    ),
    Fault(
        HOSTILE,
        "what is no data set that is read: archives of other kinds, commands, lists without pictures, half a zip",
        "each, by its name and by its first bytes",
        "one line that says what it is and what to do",
        _tests(
            "sources/texts_and_lists",
            "test_what_is_not_read_is_named_by_its_name",
            "test_what_is_called_a_tar_is_named_by_its_first_bytes",
            "test_a_list_without_pictures_says_what_to_do",
            "test_bombs_are_damage_and_large_members_are_not_held",
        ),
    ),
    Fault(
        PEOPLE,
        "a generation of pictures that is killed or interrupted; two processes that generate in one folder",
        "SIGKILL at random moments, over an API that answers by the prompt and over a pipeline of diffusers; Ctrl-C",
        "no finished batch is made again, and every byte is that of a generation that was let alone",
        _tests(
            "cli/commands/audit",
            "test_kills_cost_no_finished_piece_and_change_no_byte",
            "test_kills_of_a_real_pipeline_change_no_byte",
            "test_ctrl_c_finishes_the_batch_and_the_next_start_goes_on",
            "test_two_processes_in_one_folder_make_what_one_does",
        ),
    ),
    Fault(
        PEOPLE,
        "an images API that fails, refuses, answers with a link or with what is no picture, or is not there",
        "a server that does so when asked, through the openai client",
        "asked again, or counted as refused or failed; no link is followed; where all fails, one line and nothing kept",
        _tests(
            "audit/openai_generator",
            "test_what_passes_is_asked_for_again",
            "test_what_does_not_pass_ends_it_with_one_line",
            "test_what_the_api_holds_back_counts_as_refused_and_the_others_are_made",
            "test_a_prompt_that_cannot_be_taken_and_an_answer_without_a_picture_have_failed",
            "test_a_link_is_not_followed",
            "test_a_wrong_key_is_told_and_not_shown",
            "test_where_nobody_answers_one_line_says_so",
        ),
    ),
    Fault(
        PEOPLE,
        "a report that cannot be made, and a label that kills the process that draws",
        "the process killed, an exception in it, what draws not installed; a label that aborts vl-convert",
        "one line, and the run ends as it would without a report; that chart alone is missing, its table is there",
        (
            *_tests(
                "report/write_report",
                "test_a_report_that_fails_does_not_fail_the_run",
                "test_without_what_draws_a_run_says_how_to_get_it_and_goes_on",
            ),
            *_tests("report/drawing", "test_a_label_that_kills_the_process_costs_that_chart_alone"),
        ),
    ),
    Fault(
        PEOPLE,
        "texts that try to act in a report; pictures that must not be seen in it",
        "28 kinds of text in keys, captions, links, rationales, details and policies, in a real browser; sources that "
        "are gone or changed",
        "nothing runs, nothing is loaded; of what may be unsafe there are 16 pixels a side, of another picture none",
        _tests(
            "report/page",
            "test_hostile_texts_do_nothing_in_a_browser",
            "test_what_may_be_unsafe_is_a_mosaic_and_no_more_of_it_is_in_the_file",
            "test_where_sources_are_gone_the_report_says_so_in_place_of_pictures",
            "test_a_picture_that_is_another_now_is_not_shown",
            "test_of_what_is_blocked_nothing_but_the_number_is_told",
        ),
    ),
    Fault(
        PEOPLE,
        "a source that changed before a review is drawn; tables of verdicts that are none, or of another run",
        "other bytes; columns missing, ratings of another spelling, an export that is none, a field without end",
        "one line, and nothing written; no verdict is ever written over",
        (
            *_tests(
                "review/review",
                "test_a_source_that_changed_is_named_and_no_task_is_written",
                "test_a_task_of_another_run_is_refused",
                "test_doing_so_again_gives_the_same_and_never_writes_over_a_verdict",
            ),
            *_tests("review/verdicts", "test_what_is_none_is_named"),
        ),
    ),
    Fault(
        PEOPLE,
        "requests to the review page from another page, for another host, for other files, or that are no verdict",
        "each of them",
        "refused, and nothing written",
        _tests(
            "review/local_page",
            "test_what_is_no_verdict_is_refused_and_nothing_is_written",
            "test_a_name_that_was_made_to_lead_here_is_refused",
            "test_a_form_of_another_page_is_refused",
            "test_only_pictures_of_tasks_are_shown",
        ),
    ),
)
