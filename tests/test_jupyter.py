"""In a real Jupyter kernel (P15): maps, progress, what shows itself, and the interrupt."""

from __future__ import annotations

import base64
import os
import queue
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

jupyter_client = pytest.importorskip("jupyter_client", reason="of the extra notebook")
pytest.importorskip("ipykernel", reason="of the extra notebook")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at the kernel's processes in /proc"),
]

WIDGET = "application/vnd.jupyter.widget-view+json"
"""What ipywidgets shows a bar as."""

LIMIT = 60.0
"""Seconds for one cell."""

SETUP = """
import numpy as np
import cartopy.crs as ccrs
import forkmaps
from forkmaps.raster import Raster

LONLAT = ccrs.PlateCarree()
REGIONS = {"plains": (-106, -94, 36, 44), "north": (-104, -96, 42, 46), "south": (-104, -96, 32, 36)}
STYLE = forkmaps.Style(width=3.0, height=2.4, dpi=50.0, min=0, max=600)
values = np.arange(600, dtype=np.float32).reshape(20, 30)
x, y = np.linspace(-109.5, -90.5, 30), np.linspace(49.5, 30.5, 20)
shared = forkmaps.SharedData.load(
    Raster.from_array(values, crs="OGC:CRS84", x=x, y=y, name="Height", unit="m"),
    projection=ccrs.LambertConformal(central_longitude=-100),
)
level = 300
plot = lambda ax, shared, region: ax.contour(
    shared.x, shared.y, shared.data[0], levels=[level], colors="red", transform=LONLAT
)
"""
"""What is the same in the kernel and in this process."""


@dataclass
class Cell:
    """What a cell gave."""

    stdout: str = ""
    stderr: str = ""
    shown: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    def note(self, kind: str, content: dict[str, Any]) -> None:
        if kind == "stream":
            setattr(self, content["name"], getattr(self, content["name"]) + content["text"])
        elif kind == "display_data":
            self.shown.append(content["data"])
        elif kind == "execute_result":
            self.result = content["data"]
        elif kind == "error":
            self.error = f"{content['ename']}: {content['evalue']}"


class Kernel:
    """A kernel, and the notebook that it runs for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stacks = folder / "stacks.txt"
        self.manager = jupyter_client.KernelManager()
        self.manager.start_kernel(cwd=str(folder), env=environment(folder))
        self.client = self.manager.blocking_client()
        self.client.start_channels(hb=False)
        try:
            self.client.wait_for_ready(timeout=LIMIT)
        except BaseException:
            self.close()
            raise
        self.process = psutil.Process(int(self.run("import os; print(os.getpid())").stdout))
        self.run(
            "import faulthandler, signal; stacks = open('stacks.txt', 'w'); "
            "faulthandler.register(signal.SIGUSR1, stacks)"
        )

    def run(self, code: str) -> Cell:
        """Run a cell to its end."""
        self.begin(code)
        return self.finish()

    def begin(self, code: str) -> None:
        self._cell, self._request = Cell(), self.client.execute(textwrap.dedent(code))

    def finish(self, until: str = "") -> Cell:
        """Take what comes of the cell, until it has ended, or has printed a word."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            with suppress(queue.Empty):
                message = self.client.get_iopub_msg(timeout=1)
                if message["parent_header"].get("msg_id") != self._request:
                    continue
                if message["content"].get("execution_state") == "idle":
                    return self._cell
                self._cell.note(message["msg_type"], message["content"])
                if until and until in self._cell.stdout:
                    return self._cell
        raise TimeoutError(f"the cell did not end: {self._cell}; {self._where()}")

    def children(self) -> list[psutil.Process]:
        return [child for child in self.process.children(recursive=True) if child.status() != "zombie"]

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self.client.context.destroy(linger=0)
        self.manager.context.destroy(linger=0)

    def _where(self) -> str:
        """Return the stacks of the kernel's threads."""
        os.kill(self.process.pid, signal.SIGUSR1)
        time.sleep(0.5)
        return self.stacks.read_text()


def environment(folder: Path) -> dict[str, str]:
    """Return this process's environment, without pytest's mark, and with the folders of Jupyter's files."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    places = ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")
    return {**kept, **{name: str(folder / name.lower()) for name in places}, "PYTHONWARNINGS": "default"}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path_factory.mktemp("notebook"))
    kernel.run(SETUP)
    yield kernel
    kernel.close()


@pytest.fixture(scope="module")
def here() -> dict[str, Any]:
    """The names that the kernel has, too."""
    names: dict[str, Any] = {}
    exec(SETUP, names)
    return names


class TestMaps:
    def test_p15_a_lambda_of_a_cell_draws_the_same_bytes_as_outside(
        self, kernel: Kernel, here: dict[str, Any], tmp_path: Path
    ) -> None:
        cell = kernel.run(
            "report = forkmaps.render_maps(shared, REGIONS, plot, out='maps', style=STYLE, workers=2)"
        )
        assert (cell.error, cell.stdout, cell.stderr) == ("", "", "")
        assert kernel.run("print(report.maps, report.failed, len(report.workers))").stdout == "3 0 2\n"
        here["forkmaps"].render_maps(
            here["shared"], here["REGIONS"], here["plot"], out=tmp_path, style=here["STYLE"], workers=0
        )
        for name in here["REGIONS"]:
            drawn = (kernel.folder / "maps" / f"{name}.png").read_bytes()
            assert drawn == (tmp_path / f"{name}.png").read_bytes()
        assert kernel.children() == []

    def test_a_function_that_reads_the_processs_shared_data(self, kernel: Kernel) -> None:
        cell = kernel.run("""
            def picture(region):
                pixels = np.zeros((4, 4, 3), np.uint8)
                pixels[:] = forkmaps.shared_data().raster.values[0, 0, :3]
                return pixels

            report = forkmaps.render_maps(shared, REGIONS, picture, out="own", workers=2)
            print(report.maps)
        """)
        assert (cell.error, cell.stdout, cell.stderr) == ("", "3\n", "")

    def test_progress_is_a_widget_that_ends_at_the_last_map_and_starts_no_thread(
        self, kernel: Kernel
    ) -> None:
        cell = kernel.run("""
            import threading
            before = set(threading.enumerate())
            forkmaps.render_maps(shared, REGIONS, plot, out="bar", style=STYLE, workers=1)
            print([thread.name for thread in set(threading.enumerate()) - before])
        """)
        assert (cell.error, cell.stdout, cell.stderr) == ("", "[]\n", "")
        assert [WIDGET in one for one in cell.shown] == [True]
        shown = kernel.run("""
            from ipywidgets.widgets.widget import _instances
            bar = [one for one in _instances.values() if type(one).__name__ == "FloatProgress"][-1]
            print(bar.value, bar.max, bar.bar_style)
        """)
        assert shown.stdout == "3.0 3.0 success\n"

    def test_a_map_that_fails_is_told_once_below_the_bar(self, kernel: Kernel) -> None:
        cell = kernel.run("""
            def fails(axes, shared, region):
                if region.name == "north":
                    raise ValueError("no station")

            forkmaps.render_maps(shared, REGIONS, fails, out="failing", style=STYLE, workers=2)
        """)
        assert (cell.error, cell.stdout) == ("", "")
        (line,) = cell.stderr.splitlines()
        assert line.startswith('failed: region "north", band 1: ValueError: no station (')
        assert "<summary>ValueError: no station</summary>" in cell.result["text/html"]

    def test_what_is_returned_shows_itself(self, kernel: Kernel) -> None:
        cell = kernel.run("forkmaps.render_maps(shared, REGIONS, out='shown', style=STYLE, workers=1)")
        html = cell.result["text/html"]
        assert html.count('<a href="shown/') == html.count("data:image/webp;base64,") == 3

    def test_a_map_shows_the_bytes_that_are_drawn_outside(self, kernel: Kernel, here: dict[str, Any]) -> None:
        cell = kernel.run("forkmaps.show_map(shared, {'plains': REGIONS['plains']}, plot, style=STYLE)")
        assert (cell.error, cell.stderr, cell.shown) == ("", "", [])
        picture = here["forkmaps"].show_map(
            here["shared"], {"plains": here["REGIONS"]["plains"]}, here["plot"], style=here["STYLE"]
        )
        assert base64.b64decode(cell.result["image/png"]) == picture._repr_png_()

    def test_a_map_drawn_with_pyplot_is_shown_once(self, kernel: Kernel) -> None:
        cell = kernel.run("""
            def own(region):
                import matplotlib.pyplot as plt
                plt.figure(figsize=(2, 1), dpi=50).text(0, 0, region.name)

            forkmaps.show_map(shared, {"plains": REGIONS["plains"]}, own)
        """)
        assert (cell.error, cell.stderr, cell.shown) == ("", "", [])
        assert "image/png" in cell.result


def test_without_ipywidgets_progress_is_a_line_of_text_without_a_warning(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    try:
        kernel.run("import sys; sys.modules['ipywidgets'] = None\n" + SETUP)
        cell = kernel.run(
            "print(forkmaps.render_maps(shared, REGIONS, out='maps', style=STYLE, workers=1).maps)"
        )
    finally:
        kernel.close()
    assert (cell.error, cell.stdout, cell.shown) == ("", "3\n", [])
    lines = [line for line in cell.stderr.replace("\r", "\n").splitlines() if line.strip()]
    assert "3/3 [" in lines[-1]
    assert all("map/s]" in line or "s/map]" in line for line in lines)


class TestFunctions:
    TOTALS: ClassVar = [2.0 * sum(range(30 * row, 30 * row + 30)) for row in range(3)]
    """Twice the sums of the first rows."""

    def test_fork_map_in_a_cell(self, kernel: Kernel) -> None:
        cell = kernel.run("""
            factor = 2
            total = lambda row, shared: factor * float(shared.data[0, row].sum())
            print(list(forkmaps.fork_map(total, range(3), shared=shared, workers=2, progress=True)))
        """)
        assert (cell.error, cell.stderr) == ("", "")
        assert [WIDGET in one for one in cell.shown] == [True]
        assert cell.stdout == f"{self.TOTALS}\n"

    def test_an_executor_works_while_cells_run(self, kernel: Kernel) -> None:
        cell = kernel.run("""
            executor = forkmaps.ForkExecutor(shared, workers=2)
            factor = 2
            futures = [
                executor.submit(lambda row, shared: factor * float(shared.data[0, row].sum()), row)
                for row in range(3)
            ]
        """)
        assert (cell.error, cell.stdout, cell.stderr) == ("", "", "")
        cell = kernel.run("print([future.result(timeout=30) for future in futures]); executor.shutdown()")
        assert (cell.error, cell.stdout, cell.stderr) == ("", f"{self.TOTALS}\n", "")
        assert kernel.children() == []

    def test_a_sweep_in_a_cell(self, kernel: Kernel) -> None:
        cell = kernel.run("""
            def draw(data, row, color):
                import matplotlib.pyplot as plt
                plt.figure(figsize=(2, 1)).add_subplot().plot(data[row], color=color)

            forkmaps.sweep(draw, {"row": [0, 19], "color": ["r", "g"]}, "sweep", values, workers=2)
        """)
        assert (cell.error, cell.stderr) == ("", "")
        assert [WIDGET in one for one in cell.shown] == [True]
        html = cell.result["text/html"]
        assert html.count("data:image/webp;base64,") == 4
        assert '<a href="sweep/row%3D19/color%3Dg.png"' in html

    def test_a_grid_of_plots_in_a_cell_has_the_pixels_of_one_outside(
        self, kernel: Kernel, here: dict[str, Any]
    ) -> None:
        code = """
            import hashlib
            from forkmaps.grid import parallel_plot
            figure, axes = parallel_plot(
                lambda row, fig, ax: ax.plot(row), values[:4], (2, 2), grid_cell_size=(2, 2), max_workers=2
            )
            pixels = [np.asarray(one.images[0].get_array()) for one in axes.flat]
            digest = hashlib.sha256(b"".join(one.tobytes() for one in pixels)).hexdigest()
            import matplotlib.pyplot as plt
            plt.close(figure)
        """
        cell = kernel.run(code + "    print(digest)\n")
        assert (cell.error, cell.stderr) == ("", "")
        assert [WIDGET in one for one in cell.shown] == [True]
        names = dict(here)
        exec(textwrap.dedent(code), names)
        assert cell.stdout == f"{names['digest']}\n"


WAITS = """
import pathlib, time
from forkmaps.regions.given import regions_of

def waits(ax, shared, region):
    pathlib.Path(f"begun-{region.name}").touch()
    while region.name != "plains":
        time.sleep(0.05)
"""
"""A function that draws the plains, and is at the others for ever."""

DRAWN_AGAIN = "forkmaps.render_maps(shared, REGIONS, out='stopped', style=STYLE, workers=2, force=True)"

RUNS = {
    "render_maps": "forkmaps.render_maps(shared, REGIONS, waits, out='stopped', style=STYLE, workers=3)",
    "fork_map": """
some = regions_of(REGIONS)
list(forkmaps.fork_map(lambda region: waits(None, None, region), some, workers=3))
""",
    "executor": """
with forkmaps.ForkExecutor(workers=3) as executor:
    for region in regions_of(REGIONS):
        future = executor.submit(lambda region: waits(None, None, region), region)
    future.result()
""",
}


class TestInterrupt:
    @pytest.mark.parametrize("run", RUNS)
    def test_while_workers_work_ends_the_cell_and_all_workers(self, kernel: Kernel, run: str) -> None:
        begun = [kernel.folder / f"begun-{name}" for name in ("plains", "north", "south")]
        for path in begun:
            path.unlink(missing_ok=True)
        kernel.begin(WAITS + RUNS[run])
        wait_for(lambda: all(path.exists() for path in begun))
        self.interrupt(kernel)

    def test_while_workers_start_ends_the_cell_and_all_workers(self, kernel: Kernel) -> None:
        kernel.begin(WAITS + RUNS["render_maps"])
        wait_for(kernel.children)
        self.interrupt(kernel)

    def interrupt(self, kernel: Kernel) -> None:
        """Interrupt the kernel as the button does, by a signal to all of its processes; then draw again."""
        assert kernel.children()
        asked = time.monotonic()
        kernel.manager.interrupt_kernel()
        cell = kernel.finish()
        assert time.monotonic() - asked < 15
        assert (cell.error, cell.stderr) == ("KeyboardInterrupt: ", "")
        assert kernel.children() == []
        assert not list(kernel.folder.rglob("*.tmp"))
        again = kernel.run(f"print({DRAWN_AGAIN}.maps)")
        assert (again.error, again.stdout, again.stderr) == ("", "3\n", "")


def wait_for(holds: Any) -> None:
    end = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
