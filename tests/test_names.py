"""File names: readable, safe on any system, never two alike, never outside the folder."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkmaps import names as names_
from forkmaps.errors import OutputError
from forkmaps.names import check_outputs, safe_name
from forkmaps.output import make_folders, write_whole


class TestSafeName:
    @pytest.mark.parametrize(
        ("value", "name"),
        [
            ("Ohio", "Ohio"),
            ("New  York", "New_York"),
            ("St. Mary's", "St._Mary's"),
            ("Lewis & Clark", "Lewis_Clark"),
            ("a__b", "a__b"),
            ("Winston-Salem", "Winston-Salem"),
            ("Washington D.C.", "Washington_D.C_"),
            ("-5", "_5"),
            ("a/b", "a_b"),
            ("a\\b", "a_b"),
            ("../x", "_x"),
            ("/etc/x", "_etc_x"),
            ("", "_"),
            (".", "_"),
            ("..", "_"),
            (" ", "_"),
            ("CON", "_CON"),
            ("con.png", "_con.png"),
            ("Lpt1", "_Lpt1"),
            ("Connecticut", "Connecticut"),
            ("a\nb", "a_b"),
            ("-rf", "_rf"),
            ("$(x)", "_(x)"),
            ("%s", "_s"),
            ("a\0b", "a_b"),
            ("\u202egnp.x", "_gnp.x"),
            ("\ud800", "_"),
            ("e\u0301", "é"),
            ("Québec", "Québec"),
            ("Чукотка", "Чукотка"),
            ("東京都", "東京都"),
            ("मध्य प्रदेश", "मध्य_प्रदेश"),
            ("خراسان\u200cشمالی", "خراسان\u200cشمالی"),  # noqa: RUF001
            ("🌧", "🌧"),
        ],
    )
    def test_is_readable(self, value, name):
        assert safe_name(value) == name

    def test_cuts_long_values_and_keeps_them_apart(self):
        names = {safe_name("é" * 300 + end) for end in ("a", "b", "/", "\\")}
        assert len(names) == 4
        assert all(len(name.encode()) <= 120 and name.startswith("é" * 55) for name in names)

    @given(st.text())
    @settings(max_examples=300, deadline=None)
    def test_is_its_own_safe_name(self, value):
        name = safe_name(value)
        assert safe_name(name) == name

    @given(st.text(alphabet=st.sampled_from("./\\-~: $\0\né\u0301AaCON1")))
    @settings(max_examples=300, deadline=None)
    def test_can_always_be_a_file(self, value):
        name = safe_name(value)
        assert check_outputs(Path("out"), [f"{name}/{name}.png"], jobs=["x"])


class TestCheckOutputs:
    def test_gives_the_paths_in_order(self, tmp_path):
        names = ["TX/b.png", "TX/a.png", "c.png"]
        assert check_outputs(tmp_path, names, jobs=["b", "a", "c"]) == tuple(
            tmp_path / name for name in names
        )

    @pytest.mark.parametrize(
        "name",
        ["", "/", ".", "..", "../x", "a/../../x.png", "/etc/x", "a//x.png", "a/", "./x.png", "a/./x.png"],
    )
    def test_refuses_what_lies_outside(self, name):
        with pytest.raises(OutputError, match=r"Ohio: .* isn't a path below the folder; correct the file"):
            check_outputs(Path("out"), [name], jobs=["Ohio"])

    @pytest.mark.parametrize(
        "name", ["a:b.png", "a\\b.png", "a\nb", "a\0", "x.", "x./a.png", "-x", "a/-x", "\ud800"]
    )
    def test_refuses_what_no_system_or_not_every_system_can_hold(self, name):
        with pytest.raises(OutputError, match="where a file name can't"):
            check_outputs(Path("out"), [name], jobs=["Ohio"])

    @pytest.mark.parametrize("name", ["CON", "con.png", "a/nul/b.png", ".forkmaps.lock", ".forkmaps-x/a.png"])
    def test_refuses_reserved_names(self, name):
        with pytest.raises(OutputError, match="is a reserved name"):
            check_outputs(Path("out"), [name], jobs=["Ohio"])

    def test_refuses_what_is_too_long(self):
        check_outputs(Path("out"), ["x" * 255], jobs=["Ohio"])
        with pytest.raises(OutputError, match="longer than 255 bytes; shorten the file name template"):
            check_outputs(Path("out"), ["é" * 128], jobs=["Ohio"])

    @pytest.mark.parametrize(
        ("one", "other"),
        [("a.png", "a.png"), ("A.png", "a.png"), ("é.png", "e\u0301.png"), ("TX/Straße", "tx/STRASSE")],
    )
    def test_names_both_jobs_of_a_clash(self, one, other):
        with pytest.raises(
            OutputError, match=r"Ohio and Iowa are both .*; add a field that tells them apart"
        ):
            check_outputs(Path("out"), [one, "z.png", other], jobs=["Ohio", "Utah", "Iowa"])

    @pytest.mark.parametrize("names", [["a", "a/b.png"], ["x/a/b.png", "X/A"]])
    def test_no_file_is_a_folder_of_another(self, names):
        with pytest.raises(OutputError, match="is a folder of"):
            check_outputs(Path("out"), names, jobs=["Ohio", "Iowa"])

    def test_tells_all_at_once_but_not_endlessly(self):
        with pytest.raises(OutputError) as caught:
            check_outputs(Path("out"), ["../x"] * 100, jobs=[f"R{i}" for i in range(100)])
        lines = str(caught.value).splitlines()
        assert lines[0].startswith("out: R0: '../x' isn't")
        assert (len(lines), lines[-1]) == (21, "out: and 80 more")

    def test_writes_nothing(self, tmp_path):
        check_outputs(tmp_path / "out", ["TX/a.png"], jobs=["a"])
        assert os.listdir(tmp_path) == []

    def test_a_linked_output_folder_is_fine(self, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "out").symlink_to(tmp_path / "real")
        (path,) = check_outputs(tmp_path / "out", ["TX/a.png"], jobs=["a"])
        make_folders([path])
        write_whole(path, b"map")
        assert (tmp_path / "real" / "TX" / "a.png").read_bytes() == b"map"

    def test_a_link_inside_that_leads_out_is_refused(self, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "TX").symlink_to(tmp_path)
        with pytest.raises(OutputError, match=r"'TX' is a link that leads out to .*; remove it"):
            check_outputs(tmp_path / "out", ["TX/a.png"], jobs=["a"])

    def test_is_fast_for_all_counties(self, tmp_path):
        names = [f"{i % 49:02}/{i}.png" for i in range(3_100)]
        assert len(check_outputs(tmp_path, names, jobs=names)) == 3_100

    def test_d9_hostile_names_are_made_safe_or_refused(self, tmp_path):
        hostile = [
            "../x",
            "/etc/x",
            "a/b",
            "a\\b",
            "",
            ".",
            "CON",
            "x" * 300,
            "é",
            "e\u0301",
            "A",
            "a",
            "new\nline",
        ]
        hostile += ["-rf", "$(x)", "%s"]
        names = [safe_name(value) + ".png" for value in hostile]
        with pytest.raises(OutputError) as caught:
            check_outputs(tmp_path, names, jobs=hostile)
        clashes = str(caught.value).splitlines()
        assert len(clashes) == 4  # a/b with a\b, "" with ".", é with itself, A with a
        assert all("tells them apart" in line for line in clashes)
        unique = dict(zip(names, hostile, strict=True)) | {"A.png": "A"}
        unique.pop("a.png")
        for path in check_outputs(tmp_path, list(unique), jobs=list(unique.values())):
            write_whole(path, b"map")
        assert sorted(os.listdir(tmp_path)) == sorted(unique)

    def test_d9_of_10000_random_names_none_is_outside_and_none_clash(self, tmp_path):
        names = [f"{safe_name(value)}.png" for value in random_values(10_000)]
        unique = {names_._folded(name): name for name in names}
        paths = check_outputs(tmp_path, list(unique.values()), jobs=list(unique))
        assert all(os.path.realpath(path) == f"{os.path.realpath(tmp_path)}/{path.name}" for path in paths)
        for path in (some := paths[::10]):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        assert sorted(os.listdir(tmp_path)) == sorted(path.name for path in some)

    def test_d9_random_templates_stay_inside_or_are_refused(self, tmp_path):
        root, outside = str(tmp_path) + os.sep, 0
        for name in random_values(10_000):
            try:
                (path,) = check_outputs(tmp_path, [name], jobs=["x"])
            except OutputError:
                continue
            outside += not os.path.realpath(path).startswith(root)
        assert outside == 0


def random_values(count):
    """Values a hostile region table may hold: hostile pieces among letters of every plane."""
    rng = random.Random(9)
    pieces = [
        "..",
        ".",
        "/",
        "\\",
        "~",
        "-",
        " ",
        "\n",
        "\0",
        "CON",
        "nul.",
        "$(x)",
        "%s",
        "é",
        "e\u0301",
        "A",
        "a",
    ]
    pieces += ["\u202e", "\ud800", ":", "x" * 100, "{}", "\u200c", "中", "🌧"]

    def piece():
        return rng.choice(pieces) if rng.random() < 0.6 else chr(rng.randrange(0x110000))

    return ["".join(piece() for _ in range(rng.randrange(8))) for _ in range(count)]
