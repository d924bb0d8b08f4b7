"""What is remarked while a function works: collected by text, logged with the region, counted by job."""

import logging
import os
import re
import subprocess
import sys
import textwrap
import warnings

import pytest

from forkmaps.pool import Done, Failed, Pool
from forkmaps.run.remarks import LENGTH, MOST, Listening, heard, outcomes_told


def remark(text):
    warnings.warn(text, UserWarning, stacklevel=1)


@pytest.mark.filterwarnings("default")
def test_each_text_is_heard_once_in_a_block_and_again_in_the_next():
    for _ in range(2):
        with heard("Ohio") as remarks:
            remark("odd")
            remark("odd")
            logging.getLogger("matplotlib.font_manager").warning("no font\n  at all")
            logging.getLogger("matplotlib.font_manager").info("a font")
        odd, font = remarks
        assert odd.startswith("UserWarning: odd (test_remarks.py, line ")
        assert font == "matplotlib.font_manager: no font at all"


@pytest.mark.filterwarnings("default")
def test_records_of_the_block_name_the_region_and_later_ones_do_not(caplog):
    with heard("Ohio"):
        remark("odd")
    logging.getLogger("forkmaps").warning("after")
    first, second = caplog.records
    assert (first.name, first.region) == ("py.warnings", "Ohio")
    assert not hasattr(second, "region")


def test_the_users_filters_decide():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with heard("Ohio") as remarks:
            remark("odd")
    assert not remarks
    with pytest.raises(UserWarning, match="odd"), heard("Ohio"):
        remark("odd")  # tests have warnings be errors


@pytest.mark.filterwarnings("default")
def test_there_is_a_bound_to_texts_and_to_their_number():
    with heard("Ohio") as remarks:
        for number in range(2 * MOST):
            remark(f"{number} " * 1000)
    assert len(remarks) == MOST
    assert {len(text) for text in remarks} == {LENGTH}


@pytest.mark.filterwarnings("default")
def test_nothing_stays_set_after_the_block_even_if_it_raises():
    before = (warnings.showwarning, logging.getLogRecordFactory(), list(logging.getLogger().handlers))
    with pytest.raises(ValueError, match="planted"), heard("Ohio"):
        raise ValueError("planted")
    assert before == (
        warnings.showwarning,
        logging.getLogRecordFactory(),
        list(logging.getLogger().handlers),
    )


def test_a_worker_that_is_not_forked_writes_to_the_same_log(tmp_path):
    (tmp_path / "drawing.py").write_text(
        "import logging\ndef draw(job): logging.getLogger('forkmaps').info('drawn %s', job)\n"
        "def name(job): return f'region-{job}'\n"
    )
    code = """
    import logging, pickle, subprocess, sys, drawing
    from pathlib import Path
    from forkmaps.run.logfile import LogFile
    from forkmaps.run.remarks import Listening

    logging.getLogger().addHandler(LogFile(Path("log")))
    sent = pickle.dumps(Listening(drawing.draw, drawing.name))
    anew = "import pickle, sys; pickle.load(sys.stdin.buffer)(1); print(__import__('os').getpid())"
    print(subprocess.run([sys.executable, "-c", anew], input=sent, check=True, capture_output=True).stdout)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
    )
    (line,) = (tmp_path / "log").read_text().splitlines()
    pid = re.search(r"\d+", ended.stdout)[0]
    assert line.endswith(f"INFO pid {pid} region region-1: drawn 1")


def draw(job):
    remark(f"odd {job % 2}")
    if job == 3:
        raise ValueError("no cells")
    if job == 4:
        raise SystemExit("out")
    if job == 5:
        raise MemoryError("no room")
    return None if job == 1 else job


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_remarked_in_the_preparation_comes_with_the_first_job(workers):
    noted = []
    listening = Listening(lambda job: job, str, lambda: remark("no font"))
    with Pool(listening, workers=workers, prepare=listening.prepare) as pool:
        list(outcomes_told(pool.run(range(3)), lambda job, remarks: noted.append((job, len(remarks)))))
    assert noted == [(0, 1), (1, 0), (2, 0)]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_pool_tells_the_function_s_outcomes_and_what_was_remarked_on_each(workers):
    noted = {}
    with Pool(Listening(draw, str), workers=workers) as pool:
        told = outcomes_told(pool.run(range(6)), lambda job, remarks: noted.update({job: remarks}))
        outcomes = {outcome.job: outcome for outcome in told}
    done = {job: outcome.value for job, outcome in outcomes.items() if isinstance(outcome, Done)}
    assert done == {0: 0, 1: None, 2: 2}
    failed = {job: outcome for job, outcome in outcomes.items() if isinstance(outcome, Failed)}
    assert {job: (one.cause, one.message) for job, one in failed.items()} == {
        3: ("error", "ValueError: no cells"),
        4: ("error", "SystemExit: out"),
        5: ("error", "out of memory: MemoryError: no room"),
    }
    assert "in draw" in failed[3].traceback
    assert (os.getpid() == failed[3].pid) == (workers == 0)
    assert {job: [text[:18] for text in texts] for job, texts in noted.items()} == {
        job: [f"UserWarning: odd {job % 2}"] for job in range(4)
    }


def test_a_record_that_can_not_be_printed_fails_no_map(monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    listening = Listening(lambda job: logging.getLogger("test").warning("%d", "one"), str)
    assert listening(1).raised is None
