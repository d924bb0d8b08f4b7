import errno
import logging
import os
import pickle
import socket
import stat
import threading

import pytest

from forkmaps.errors import DiskFullError, OutputError
from forkmaps.output import (
    lock,
    locked,
    make_folders,
    put_in_place,
    sweep_stale,
    temporaries,
    write_apart,
    write_whole,
    writing,
)


@pytest.fixture
def umask():
    """Set the umask to 027, and back."""
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def in_child(function):
    """Run a function in a forked child; return the child's exit status: 0 if it returned."""
    if (pid := os.fork()) == 0:
        try:
            function()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class TestWriting:
    def test_gives_the_file(self, tmp_path):
        write_whole(tmp_path / "a.png", b"map" * 99_999)
        assert (tmp_path / "a.png").read_bytes() == b"map" * 99_999
        assert os.listdir(tmp_path) == ["a.png"]

    def test_replaces_the_old_file(self, tmp_path):
        write_whole(tmp_path / "a.png", b"old and longer")
        write_whole(tmp_path / "a.png", b"new")
        assert (tmp_path / "a.png").read_bytes() == b"new"

    def test_shows_nothing_before_the_end(self, tmp_path):
        path = tmp_path / "a.png"
        with writing(path) as file:
            file.write(b"half")
            file.flush()
            assert not path.exists()
            (temporary,) = os.listdir(tmp_path)
            assert temporaries._TEMPORARY.fullmatch(temporary)
        assert path.read_bytes() == b"half"

    def test_is_on_disk_before_it_has_its_name(self, tmp_path, monkeypatch):
        steps = []
        fsync, replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", lambda f: (steps.append(("fsync", os.fstat(f).st_size)), fsync(f)))
        monkeypatch.setattr(os, "replace", lambda a, b: (steps.append("replace"), replace(a, b)))
        write_whole(tmp_path / "a.png", b"12345")
        assert steps == [("fsync", 5), "replace"]

    def test_apart_and_put_in_place_it_is_on_disk_before_it_has_its_name(self, tmp_path, monkeypatch):
        path = tmp_path / "a.png"
        temporary = write_apart(path, b"12345")
        assert temporary.parent == tmp_path
        assert temporaries._TEMPORARY.fullmatch(temporary.name)
        assert not path.exists()
        steps = []
        fsync, replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", lambda f: (steps.append(("fsync", os.fstat(f).st_size)), fsync(f)))
        monkeypatch.setattr(os, "replace", lambda a, b: (steps.append("replace"), replace(a, b)))
        put_in_place(temporary, path)
        assert steps == [("fsync", 5), "replace"]
        assert path.read_bytes() == b"12345"
        assert os.listdir(tmp_path) == ["a.png"]

    def test_what_was_written_apart_and_is_gone_is_an_error_of_its_path(self, tmp_path):
        temporary = write_apart(tmp_path / "a.png", b"12345")
        temporary.unlink()
        with pytest.raises(OutputError, match=r"a\.png: can't be written"):
            put_in_place(temporary, tmp_path / "a.png")

    def test_mode_is_what_the_umask_leaves(self, tmp_path, umask):
        write_whole(tmp_path / "a.png", b"")
        assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640

    def test_takes_the_longest_name_the_file_system_takes(self, tmp_path):
        path = tmp_path / ("x" * 251 + ".png")
        write_whole(path, b"map")
        assert path.read_bytes() == b"map"

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, ValueError, GeneratorExit])
    def test_an_exception_in_the_block_leaves_the_old_file_alone(self, tmp_path, kind):
        write_whole(tmp_path / "a.png", b"old")
        with pytest.raises(kind, match="mine"), writing(tmp_path / "a.png"):
            raise kind("mine")
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.png": b"old"}

    def test_errors_of_other_files_pass_unchanged(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"font\.ttf"), writing(tmp_path / "a.pdf"):
            (tmp_path / "font.ttf").read_bytes()
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
    def test_no_room_at_the_flush_is_fatal(self, tmp_path, monkeypatch, code):
        def fail(descriptor):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(
            DiskFullError, match=rf"a\.png: can't be written: {os.strerror(code)}; .*run again"
        ):
            write_whole(tmp_path / "a.png", b"map")
        assert os.listdir(tmp_path) == []

    def test_another_disk_error_is_not_taken_for_a_full_disk(self, tmp_path, monkeypatch):
        def fail(descriptor):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OutputError, match="Input/output error") as caught:
            write_whole(tmp_path / "a.png", b"map")
        assert not isinstance(caught.value, DiskFullError)

    def test_a_folder_in_the_file_s_place_is_an_error(self, tmp_path):
        (tmp_path / "a.png").mkdir()
        with pytest.raises(OutputError, match=r"a\.png: .*Is a directory; a folder stands where"):
            write_whole(tmp_path / "a.png", b"map")

    def test_a_link_in_the_file_s_place_is_replaced_and_not_followed(self, tmp_path):
        (tmp_path / "other").write_bytes(b"theirs")
        (tmp_path / "a.png").symlink_to("other")
        write_whole(tmp_path / "a.png", b"ours")
        assert (tmp_path / "other").read_bytes() == b"theirs"
        assert not (tmp_path / "a.png").is_symlink()

    def test_the_error_can_be_sent_between_processes(self):
        error = pickle.loads(pickle.dumps(DiskFullError("a.png: no room")))
        assert (type(error), str(error)) == (DiskFullError, "a.png: no room")

    def test_two_threads_can_write_one_file(self, tmp_path):
        def work(letter):
            for _ in range(20):
                write_whole(tmp_path / "a.png", letter * 10_000)

        threads = [threading.Thread(target=work, args=(letter,)) for letter in (b"a", b"b")]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert (tmp_path / "a.png").read_bytes() in (b"a" * 10_000, b"b" * 10_000)


class TestSweep:
    def temporary(self, folder, *, host=None, pid=None, started=None):
        host, pid = host or temporaries._host(), pid or os.getpid()
        path = folder / f".forkmaps-{host}-{pid}-{started or temporaries.started(pid) or 0}-0badf00d.tmp"
        path.write_bytes(b"half a map")
        return path

    def ended_pid(self):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return pid

    def test_removes_what_a_killed_writer_left(self, tmp_path):
        def die():
            with writing(tmp_path / "a.png"):
                os.kill(os.getpid(), 9)

        assert in_child(die) == -9
        (left,) = tmp_path.iterdir()
        assert sweep_stale(tmp_path) == (left,)
        assert os.listdir(tmp_path) == []

    def test_looks_into_nested_folders(self, tmp_path):
        (tmp_path / "TX" / "counties").mkdir(parents=True)
        left = self.temporary(tmp_path / "TX" / "counties", pid=self.ended_pid())
        assert sweep_stale(tmp_path) == (left,)

    def test_counts_a_dead_process_that_nobody_waited_for_as_dead(self, tmp_path):
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            os.write(writer, str(temporaries.started(os.getpid())).encode())
            os._exit(0)
        started = int(os.read(reader, 20))
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        left = self.temporary(tmp_path, pid=pid, started=started)
        assert sweep_stale(tmp_path) == (left,)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)

    def test_removes_that_of_a_process_whose_pid_was_given_again(self, tmp_path):
        left = self.temporary(tmp_path, started=1)
        assert sweep_stale(tmp_path) == (left,)

    def test_leaves_that_of_a_living_writer(self, tmp_path):
        with writing(tmp_path / "a.png") as file:
            file.write(b"map")
            assert sweep_stale(tmp_path) == ()
        assert (tmp_path / "a.png").read_bytes() == b"map"

    def test_leaves_all_other_files(self, tmp_path):
        names = [
            ".forkmaps.lock",
            "a.tmp",
            ".forkmaps-1-2.tmp",
            ".forkmaps-ab-1-1-ab.tmp.png",
            "x.forkmaps-a-1-1-a.tmp",
        ]
        for name in names:
            (tmp_path / name).write_bytes(b"")
        assert sweep_stale(tmp_path) == ()
        assert sorted(os.listdir(tmp_path)) == sorted(names)
        for name in names:
            (tmp_path / name).unlink()

    def test_follows_no_links(self, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "elsewhere").mkdir()
        left = self.temporary(tmp_path / "elsewhere", started=1)
        (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere")
        (link := tmp_path / "out" / left.name).symlink_to(left)
        assert sweep_stale(tmp_path / "out") == ()
        link.unlink()
        left.unlink()

    def test_leaves_another_user_s(self, tmp_path, monkeypatch):
        left = self.temporary(tmp_path, started=1)
        monkeypatch.setattr(temporaries, "_user", lambda: left.stat().st_uid + 1)
        assert sweep_stale(tmp_path) == ()
        left.unlink()

    def test_leaves_another_machine_s_until_it_is_a_day_old(self, tmp_path):
        left = self.temporary(tmp_path, host="0123abcd", pid=self.ended_pid())
        assert sweep_stale(tmp_path) == ()
        yesterday = left.stat().st_mtime - temporaries.FOREIGN_STALE_AFTER - 60
        os.utime(left, (yesterday, yesterday))
        assert sweep_stale(tmp_path) == (left,)

    def test_of_a_folder_that_is_not_there_removes_nothing(self, tmp_path):
        assert sweep_stale(tmp_path / "none") == ()

    def test_works_where_there_is_no_proc(self, tmp_path, monkeypatch):
        monkeypatch.setattr(temporaries, "_PROC", tmp_path / "proc")
        left = self.temporary(tmp_path, pid=self.ended_pid())
        with writing(tmp_path / "a.png"):
            assert sweep_stale(tmp_path) == (left,)


class TestMakeFolders:
    def test_makes_nested_folders_once(self, tmp_path):
        paths = [tmp_path / "a" / "b" / "1.png", tmp_path / "a" / "2.png", tmp_path / "a" / "b" / "3.png"]
        make_folders(paths)
        make_folders(paths)
        assert (tmp_path / "a" / "b").is_dir()

    def test_names_the_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "a").write_bytes(b"")
        with pytest.raises(
            OutputError, match=r"/a: can't be written: File exists; a file stands where a folder"
        ):
            make_folders([tmp_path / "a" / "1.png"])


class Handler(logging.Handler):
    """Call a function when something is logged."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def emit(self, record):
        self.function()


class TestLocked:
    def test_keeps_a_second_run_out_and_names_the_first(self, tmp_path):
        with (
            locked(tmp_path),
            pytest.raises(
                OutputError, match=rf"another run \(pid {os.getpid()}\) is writing here; wait for it"
            ),
            locked(tmp_path),
        ):
            pass

    def test_leaves_nothing_behind(self, tmp_path):
        with locked(tmp_path):
            assert (tmp_path / lock.LOCK_NAME).read_text() == str(os.getpid())
        assert os.listdir(tmp_path) == []

    def test_is_free_after_an_exception(self, tmp_path):
        with pytest.raises(ValueError, match="mine"), locked(tmp_path):
            raise ValueError("mine")
        with locked(tmp_path):
            pass

    def test_is_free_after_a_kill(self, tmp_path):
        def die():
            with locked(tmp_path):
                os.kill(os.getpid(), 9)

        assert in_child(die) == -9
        with locked(tmp_path):
            assert (tmp_path / lock.LOCK_NAME).read_text() == str(os.getpid())

    def test_a_worker_that_ends_does_not_open_it(self, tmp_path):
        with locked(tmp_path):
            assert in_child(lambda: None) == 0
            with pytest.raises(OutputError, match="another run"), locked(tmp_path):
                pass

    def test_a_worker_that_leaves_the_block_does_not_open_it(self, tmp_path):
        owner = os.getpid()
        try:
            with locked(tmp_path):
                if (pid := os.fork()) == 0:
                    raise SystemExit  # unwinds the block in the child
                os.waitpid(pid, 0)
                with pytest.raises(OutputError, match="another run"), locked(tmp_path):
                    pass
        except SystemExit:
            assert os.getpid() != owner
            os._exit(0)

    def test_holds_until_the_last_worker_of_a_killed_run_has_ended(self, tmp_path):
        ours, theirs = socket.socketpair()

        def run():
            ours.close()
            with locked(tmp_path):
                if os.fork() == 0:
                    theirs.recv(1)  # ends when the test closes its end
                    os._exit(0)
                os.kill(os.getpid(), 9)

        assert in_child(run) == -9
        theirs.close()
        with pytest.raises(OutputError, match="workers of a run that was killed"), locked(tmp_path):
            pass
        ours.close()
        with locked(tmp_path, wait=True):
            pass

    def test_waits_if_asked_and_says_so(self, tmp_path, caplog):
        ours, theirs = socket.socketpair()
        if (pid := os.fork()) == 0:
            with locked(tmp_path):
                theirs.send(b"locked")
                theirs.recv(2)
            os._exit(0)
        ours.recv(6)
        release = Handler(lambda: ours.send(b"go"))
        lock._log.addHandler(release)
        caplog.set_level(logging.INFO)
        with locked(tmp_path, wait=True):
            assert (tmp_path / lock.LOCK_NAME).read_text() == str(os.getpid())
        lock._log.removeHandler(release)
        os.waitpid(pid, 0)
        ours.close()
        theirs.close()
        assert f"another run (pid {pid}) is writing here; waiting" in caplog.text

    def test_does_not_write_through_a_link(self, tmp_path):
        (tmp_path / "theirs").write_text("theirs")
        (tmp_path / lock.LOCK_NAME).symlink_to("theirs")
        with pytest.raises(OutputError, match="remove it"), locked(tmp_path):
            pass
        assert (tmp_path / "theirs").read_text() == "theirs"

    def test_of_a_folder_that_is_not_there_is_an_error(self, tmp_path):
        with pytest.raises(OutputError, match="No such file or directory"), locked(tmp_path / "none"):
            pass

    def test_two_folders_are_independent(self, tmp_path):
        (tmp_path / "a").mkdir()
        with locked(tmp_path), locked(tmp_path / "a"):
            pass
