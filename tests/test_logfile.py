"""The log file takes whole lines from all processes; the terminal shows only warnings, and each once."""

import logging
import os
import re

import pytest

from forkmaps.errors import OutputError
from forkmaps.run.logfile import LogFile, Terminal
from forkmaps.run.process import logging_to

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
    r"(?P<level>[A-Z]+) pid (?P<pid>\d+)(?: region (?P<region>\S+))?: (.*)"
)


@pytest.fixture
def log(tmp_path):
    """A logger of its own that writes to a file."""
    handler = LogFile(tmp_path / "log")
    logger = logging.Logger("test", logging.INFO)
    logger.addHandler(handler)
    yield logger
    handler.close()


def test_a_record_has_time_level_process_and_region(log, tmp_path):
    log.info("begun")
    log.warning("odd", extra={"region": "Ohio"})
    first, second = map(LINE.fullmatch, (tmp_path / "log").read_text().splitlines())
    assert first.group("level", "pid", "region") == ("INFO", str(os.getpid()), None)
    assert second.group("level", "pid", "region") == ("WARNING", str(os.getpid()), "Ohio")


def test_further_lines_of_a_message_and_tracebacks_are_indented(log, tmp_path):
    try:
        raise ValueError("planted")
    except ValueError:
        log.exception("failed\nbadly")
    head, *rest = (tmp_path / "log").read_text().splitlines()
    assert LINE.fullmatch(head)
    assert rest[0] == "    badly"
    assert rest[-1] == "    ValueError: planted"
    assert all(line.startswith("    ") for line in rest)


def test_processes_that_write_at_the_same_time_mix_no_lines_and_a_kill_loses_none(log, tmp_path):
    children = []
    for number in range(4):
        if (pid := os.fork()) == 0:
            for turn in range(200):
                log.info("%s", f"{number}{turn:03d}" * 50)
            os.kill(os.getpid(), 9)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    words = [LINE.fullmatch(line)[4] for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(words) == sorted(f"{n}{turn:03d}" * 50 for n in range(4) for turn in range(200))


def test_a_log_is_appended_to(tmp_path):
    for _ in range(2):
        handler = LogFile(tmp_path / "log")
        handler.emit(logging.makeLogRecord({"msg": "begun"}))
        handler.close()
    assert (tmp_path / "log").read_text().count("begun\n") == 2


def test_text_that_is_no_utf_8_is_written_all_the_same(log, tmp_path):
    log.info("\udcff")
    assert r"\udcff" in (tmp_path / "log").read_text()


def test_a_log_without_room_raises_nothing(capfd):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no full device")
    logger = logging.Logger("test")
    logger.addHandler(handler := LogFile("/dev/full"))
    logger.warning("odd")
    handler.close()
    assert capfd.readouterr() == ("", "")


def test_a_log_that_can_not_be_opened_is_one_error(tmp_path):
    with pytest.raises(OutputError, match="nowhere/log: the log can't be written: No such file"):
        LogFile(tmp_path / "nowhere" / "log")


def test_the_terminal_shows_the_first_line_of_warnings_unless_they_were_shown(capsys):
    logger = logging.Logger("test", logging.INFO)
    logger.addHandler(Terminal())
    logger.info("begun")
    logger.warning("a worker died\nits stack")
    logger.warning("failed", extra={"shown": True})
    assert capsys.readouterr() == ("", "forkmaps: a worker died\n")


def test_without_a_terminal_nothing_is_shown(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    Terminal().emit(logging.makeLogRecord({"msg": "odd", "levelno": logging.WARNING}))


def test_a_record_that_can_not_be_printed_fails_nothing(monkeypatch, capsys):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    Terminal().handle(logging.makeLogRecord({"msg": "%d", "args": ("one",), "levelno": logging.WARNING}))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("error", "told"), [(BrokenPipeError, ""), (KeyError, "forkmaps failed")])
def test_a_reader_who_has_seen_enough_is_no_failure_to_log(tmp_path, error, told):
    with pytest.raises(error), logging_to(tmp_path / "log"):
        raise error
    text = (tmp_path / "log").read_text()
    assert told in text
    assert bool(text) == bool(told)
