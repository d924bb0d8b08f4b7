"""Several rasters in one shared data: each with its own grid, colors, names and values in titles."""

import numpy as np
import pytest
from PIL import Image

from forkmaps.errors import OutputError, RasterError, RegionError
from forkmaps.job import Job, template_fields
from forkmaps.manifest.fingerprint import Fingerprints
from forkmaps.plan import plan_maps
from forkmaps.raster import Raster
from forkmaps.regions import Extent, Region
from forkmaps.render import Renderer
from forkmaps.run.batch import Run, draw_maps
from forkmaps.shared import SharedData, set_shared_data
from forkmaps.style import Style

LON, LAT = np.arange(-110.0, -90, 0.5), np.arange(50.0, 30, -0.5)
REGIONS = (Region("north", Extent(-104, -96, 42, 46)), Region("south", Extent(-104, -96, 36, 40)))
STYLE = Style(width=4, height=3, dpi=60, title="{raster.key}: {raster.name} {max:.0f} {raster.unit}")


def raster(values, lon=LON, **options):
    return Raster.from_array(values, x=lon, y=LAT, crs="EPSG:4326", **options)


def heights(low=0.0):
    return raster(low + LON + LAT[:, None], name="Height", unit="m")


def winds(factor=1.0):
    coarse = np.arange(-112.0, -88, 1.0)
    values = factor * np.stack([coarse + 0 * LAT[:, None], coarse + 1 + 0 * LAT[:, None]])
    return raster(values, coarse, name="Wind", unit="m/s", bands=["low", "high"])


@pytest.fixture
def shared():
    data = SharedData.load({"z": heights(), "wind": winds()}, projection="EPSG:5070")
    yield data
    set_shared_data(None)


def plan(shared, **options):
    return plan_maps(shared, REGIONS, folder="maps", style=STYLE, **options)


EACH = "{raster.key}-{region.name}-{band.number}.png"


def test_the_first_is_drawn_unless_others_are_asked_for(shared):
    assert [one.job.raster for one in plan(shared).maps] == ["", ""]
    assert {one.job.raster for one in plan(shared, rasters=["wind"], file=EACH).maps} == {"wind"}
    everything = plan(shared, rasters="all", file=EACH)
    names = [one.path.name for one in everything.maps[:3]]
    assert names == ["z-north-1.png", "wind-north-1.png", "wind-north-2.png"]
    assert len(everything.maps) == 6


def test_an_unknown_raster_is_named(shared):
    with pytest.raises(RasterError, match=r'no raster "winds"; did you mean "wind"\?; there are z, wind'):
        plan(shared, rasters=["winds"])


def test_one_file_for_all_rasters_is_refused_with_the_remedy(shared):
    with pytest.raises(OutputError, match=r"gives all 2 rasters one file; put \{raster\.key\} into it"):
        plan(shared, rasters="all")


def test_a_region_must_lie_on_each_raster_that_is_drawn(shared):
    data = SharedData({"z": heights(), "far": raster(np.zeros((40, 40)), LON + 100)}, {}, shared.projection)
    assert len(plan(data).maps) == 2
    with pytest.raises(RegionError, match="has nothing of the raster"):
        plan(data, rasters="all", file=EACH)


def test_templates_tell_of_the_jobs_own_raster(shared):
    told = template_fields(shared, Job(REGIONS[0], 1, "wind"))
    assert (told["raster.key"], told["raster.name"], told["band.name"]) == ("wind", "Wind", "high")
    assert template_fields(shared, Job(REGIONS[0]))["raster.key"] == "z"


def test_a_renderer_that_changes_between_rasters_draws_what_one_of_each_alone_draws(shared):
    both = Renderer(shared, STYLE, {})
    jobs = [Job(REGIONS[0]), Job(REGIONS[0], 1, "wind"), Job(REGIONS[1]), Job(REGIONS[1], 0, "wind")]
    found = [both.picture(job).copy() for job in jobs]
    for job, picture in zip(jobs, found, strict=True):
        own = SharedData({job.raster or "z": shared.raster_named(job.raster)}, {}, shared.projection)
        alone = Renderer(own, STYLE, {})
        assert np.array_equal(picture, alone.picture(job))
        assert both.vector(job, "svg") == alone.vector(job, "svg")
    assert not np.array_equal(found[0], found[2])
    assert both.scale.norm.vmax == winds().value_range[1]


def test_a_change_of_one_raster_leaves_the_maps_of_the_other_alone(shared):
    def prints(data):
        planned = plan(data, rasters="all", file=EACH)
        return dict(zip(names, Fingerprints(data, planned).of(planned.maps), strict=True))

    names = [one.path.name for one in plan(shared, rasters="all", file=EACH).maps]
    before = prints(shared)
    changed = SharedData({"z": heights(), "wind": winds(2.0)}, {}, shared.projection)
    after = prints(changed)
    assert len(set(before.values())) == 6
    assert {name for name in names if before[name] != after[name]} == {
        n for n in names if n.startswith("wind")
    }


def test_workers_draw_them_all(shared, tmp_path):
    planned = plan_maps(shared, REGIONS, folder=tmp_path, style=STYLE, rasters="all", file=EACH)
    report = draw_maps(shared, planned, Run(workers=2))
    assert (report.maps, report.failed) == (6, 0)
    renderer = Renderer(shared, STYLE, {})
    for one in planned.maps:
        with Image.open(one.path) as picture:
            assert np.array_equal(np.asarray(picture.convert("RGB")), renderer.picture(one.job)[..., :3])
    assert draw_maps(shared, planned, Run(workers=2)).skipped == 6
