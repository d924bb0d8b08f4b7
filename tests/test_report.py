"""The report: it comes back from its file as it was, and its summary tells what a morning needs."""

from dataclasses import replace

import pytest

from forkmaps.errors import OutputError
from forkmaps.output import locked
from forkmaps.run.report import DONE, RUNNING, Failure, MapTime, Remark, Report, WorkerUse

CRASHED = Failure("Ohio", 2, "killed by SIGSEGV", "died", "SIGSEGV", 0.25, 3, "Fatal Python error")
REPORT = Report(
    mapset="rain",
    folder="out",
    state=DONE,
    begun="2026-11-21T03:00:00+00:00",
    maps=10,
    failed=1,
    skipped=5,
    left=0,
    seconds=2.0,
    raster_reads=1,
    shared_mb=100.0,
    workers=(WorkerUse(1, 6, 30.0, 40.0), WorkerUse(2, 5, None, None)),
    failures=(CRASHED,),
    warnings=(Remark("UserWarning: odd", 9, "Utah"), Remark("font: none", 1, "Iowa")),
    slowest=(MapTime(1.5, "Alaska", 1), MapTime(0.5, "Utah", 2)),
    outputs=("out/a.png",),
)


def test_a_report_comes_back_from_its_file(tmp_path):
    report = replace(REPORT, folder=str(tmp_path))
    assert report.write() == tmp_path / "report.json"
    assert Report.read(tmp_path) == report


def test_its_summary_tells_failures_warnings_and_the_slowest():
    assert REPORT.summary().splitlines() == [
        "10 maps in 2.0 s (5.0 per second), 5 unchanged, 1 failed; raster read once",
        "memory: 100 MB of shared data, 2 workers with 30 MB of their own",
        'slowest: 1.50 s "Alaska", band 1; 0.50 s "Utah", band 2',
        "failed:",
        '  region "Ohio", band 2: killed by SIGSEGV (3 attempts, the last took 0.2 s)',
        "warnings:",
        '  UserWarning: odd (9 maps, first "Utah")',
        '  font: none (on "Iowa")',
    ]


def test_of_many_failures_the_summary_shows_some_and_counts_the_rest():
    lines = replace(REPORT, failed=3000, failures=(CRASHED,) * 3000).summary().splitlines()
    assert len(lines) < 40
    assert "  and 2980 more; all are in report.json" in lines


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (RUNNING, "running; 7 maps were to draw"),
        ("stopped: by SIGTERM", "stopped: by SIGTERM; 7 maps are left, the next run draws them"),
    ],
)
def test_a_run_that_did_not_end_is_told_and_is_not_complete(state, told):
    report = replace(REPORT, failed=0, failures=(), state=state, left=7)
    assert told in report.summary()
    assert not report.is_complete


def test_on_a_full_disk_a_short_report_takes_the_room_of_the_one_of_a_run_that_goes_on(tmp_path):
    running = replace(REPORT, folder=str(tmp_path), state=RUNNING)
    room = running.write().stat().st_size
    stopped = replace(running, state="stopped: the disk is full", failures=(CRASHED,) * 3000)
    stopped.write_short()
    short = Report.read(tmp_path)
    assert (short.state, short.outputs, short.failed) == ("stopped: the disk is full", (), 1)
    assert 0 < len(short.failures) < 100
    assert (tmp_path / "report.json").stat().st_size < room


def test_complete_is_a_run_that_ended_without_a_failure():
    assert replace(REPORT, failed=0, failures=()).is_complete
    assert not REPORT.is_complete


def test_a_run_that_goes_on_no_more_was_killed(tmp_path):
    report = replace(REPORT, folder=str(tmp_path), state=RUNNING)
    report.write()
    with locked(tmp_path):
        assert Report.read(tmp_path) == report
    assert Report.read(tmp_path).state == "stopped: killed, before it could tell why"


@pytest.mark.parametrize("content", [None, b"", b"[1]", b"{}", b'{"mapset": "of before"}', b"\xff"])
def test_what_is_no_report_is_one_error(tmp_path, content):
    if content is not None:
        (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(OutputError, match=r"report\.json: (there is no report|is not a report)"):
        Report.read(tmp_path)
