"""What draws a planned map in a worker, and writes it beside its path: our renderer, or a user's function."""

from __future__ import annotations

from forkmaps.encode import encode_png, encode_webp
from forkmaps.figures import figure_bytes, figure_of, own_figures
from forkmaps.job import Job, band_of
from forkmaps.manifest.entries import file_state
from forkmaps.manifest.fingerprint import Fingerprints
from forkmaps.output import NoRoom, write_apart_if_room
from forkmaps.plan import Plan, PlannedMap
from forkmaps.render import Renderer
from forkmaps.run.outcomes import Drawn
from forkmaps.shared import SharedData, raster_reads, set_shared_data


class MapDrawer:
    """Draws planned maps in a worker: one renderer, made there, for all of the worker's maps.

    Parameters
    ----------
    shared : SharedData
        Becomes the shared data of the process that draws.
    plan : Plan
    prints : Fingerprints
        Of the plan's maps.
    """

    def __init__(self, shared: SharedData, plan: Plan, prints: Fingerprints) -> None:
        self.shared, self.plan, self.prints = shared, plan, prints
        self._reads_before = 0
        self._renderer: Renderer | None = None

    def prepare(self) -> None:
        """Make this process ready for its first map."""
        set_shared_data(self.shared)
        self._reads_before = raster_reads()  # in a process started anew: none
        plotter = self.plan.plotter
        if plotter is None or plotter.on_map:
            self._renderer = Renderer(self.shared, self.plan.style, self.plan.lines, plotter)

    def draw(self, planned: PlannedMap) -> Drawn | NoRoom:
        """Draw one map and write it beside its path; the parent puts it in place."""
        temporary = write_apart_if_room(planned.path, self.content(planned))
        if isinstance(temporary, NoRoom):
            return temporary
        (fingerprint,) = self.prints.of([planned])
        return Drawn(temporary, file_state(temporary), fingerprint, raster_reads() - self._reads_before)

    def content(self, planned: PlannedMap) -> bytes:
        """Draw one map, and return it as the bytes of its file."""
        suffix = planned.path.suffix.lower()
        plotter = self.plan.plotter
        if plotter is not None and not plotter.on_map:
            band = band_of(self.shared, planned.job)
            with own_figures():
                return figure_bytes(figure_of(plotter(planned.job.region, band=band)), suffix)
        assert self._renderer is not None, "prepare() comes first"
        return picture_bytes(self._renderer, planned.job, suffix)


def picture_bytes(renderer: Renderer, job: Job, suffix: str) -> bytes:
    """Draw a job and return it as the bytes of a file with a suffix: .png, .webp, .pdf or .svg."""
    if suffix == ".png":
        return encode_png(renderer.picture(job), dpi=renderer.style.dpi)
    if suffix == ".webp":
        return encode_webp(renderer.picture(job))
    return renderer.vector(job, "pdf" if suffix == ".pdf" else "svg")
