"""Films with masks, made here: a mask lies where the film shows what was drawn."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sources.radiographs.pictures import all_films, write_film

from anatomy_clip.core.refusals import Doubt
from anatomy_clip.core.terms import Projection, State
from anatomy_clip.sources.radiographs.covid_segm import CovidSegm

REAL = Path(os.environ.get("REAL_DATA", Path(__file__).parents[3].parent / "shared" / "realdata")) / "radiographs"
SHARES = {"test": 1.0}


def write_mask(path, shape, colour=(250, 10, 0)):
    path.parent.mkdir(exist_ok=True)
    pixels = np.zeros((*shape, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[:, : max(1, shape[1] - 1), :3] = colour
    pixels[0, -1, :3] = colour
    Image.fromarray(pixels).save(path)


@pytest.fixture
def made(tmp_path):
    write_film(tmp_path / "images" / "a.jpg", (64, 48), (10, 20, 8, 30))
    write_film(tmp_path / "images" / "b.png", (64, 48))
    (tmp_path / "metadata.csv").write_text(
        "patientid,finding,view,modality,filename,license,clinical_notes\n"
        '7,"COVID-19, ARDS",AP Supine,X-ray,a.jpg,CC BY,"Opacity on the left."\n'
        "7,No Finding,L,X-ray,b.png,,\n"
    )
    (tmp_path / "structure.csv").write_text(
        "#,Class,Filename,Mask,Top,Left,Width,Height\n"
        "1,COVID-19 Ground Glass Opacities,a.jpg,masks/1.png,20,10,8,30\n"
        "2,COVID-19 Left Lung,a.jpg,masks/2.png,0,0,48,64\n"
        "3,COVID-19 Tubings,a.jpg,masks/3.png,1,1,4,4\n"
        "4,COVID-19 Endotracheal Tube,a.jpg,masks/3.png,11,1,4,4\n"
    )
    for name, shape in (("1", (30, 8)), ("2", (64, 48)), ("3", (4, 4))):
        write_mask(tmp_path / "masks" / f"{name}.png", shape)
    return tmp_path


def test_masks_lie_at_their_place_and_findings_follow(made):
    films, others = all_films(CovidSegm(made, shares=SHARES))
    assert others == []
    (_, film, record), (_, _, other) = films
    assert set(record.masks) == set(film.masks) == {"covid_pattern", "left_lung", "support_devices"}
    rows, columns = np.nonzero(film.masks["covid_pattern"])
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (10, 20, 17, 49)
    assert film.pixels[film.masks["covid_pattern"]].min() > 0.9  # where the film is white
    tubes = np.argwhere(film.masks["support_devices"])
    assert len(tubes) == 2 * (4 * 3 + 1) and {tuple(tubes[0]), (11, 1)} <= set(map(tuple, tubes))
    assert film.masks["left_lung"].sum() == 64 * 47 + 1
    assert {name for name, one in record.findings.items() if one.state is State.POSITIVE} == {
        "covid_19", "ards", "covid_pattern", "support_devices",
    }  # fmt: skip
    assert (record.projection, other.projection) == (Projection.AP, Projection.LATERAL)
    assert record.report == {"notes": "Opacity on the left."} and record.licence == "CC BY"
    assert dict(other.findings) == {} and other.report == {} and other.patient == record.patient == "7"


def test_what_does_not_fit_is_said(made):
    write_film(made / "images" / "stranger.png")
    write_mask(made / "masks" / "2.png", (65, 48))
    (made / "masks" / "3.png").write_bytes(b"x")
    films, others = all_films(CovidSegm(made, shares=SHARES))
    assert [record.masks for _, _, record in films] == [("covid_pattern",), ()]
    told = {Path(one.where).name: one for one in others}
    assert "no row of metadata.csv" in told["stranger.png"].reason and told["stranger.png"].remedy
    assert "extends beyond its film" in told["2.png"].reason
    assert isinstance(told["3.png"], Doubt) and "can't be read as PNG" in told["3.png"].reason


def test_a_mask_without_its_place_is_left_out_unless_it_is_as_large_as_its_film(made):
    (made / "structure.csv").unlink()
    (made / "masks.csv").write_text(
        "filename,class,mask\na.jpg,COVID-19 Left Lung,masks/2.png\na.jpg,COVID-19 Consolidation,masks/1.png\n"
        "a.jpg,COVID-19 Right Lung,../outside.png\n"
    )
    films, others = all_films(CovidSegm(made, shares=SHARES))
    assert films[0][2].masks == ("left_lung",)
    assert (
        "no structure.csv gives its position" in others[0].reason and "not below the source's root" in others[1].reason
    )


def test_a_bad_place_is_refused_by_line(made):
    text = (made / "structure.csv").read_text().replace("20,10,8", "-20,10,8")
    (made / "structure.csv").write_text(text)
    with pytest.raises(ValueError, match=r"structure\.csv, line 2: Top or Left is '-20'"):
        CovidSegm(made).splits()


@pytest.mark.skipif(not (REAL / "covid_segm").is_dir(), reason=f"no real radiographs at {REAL}")
def test_real_films_are_all_taken():
    films, others = all_films(CovidSegm(REAL / "covid_segm"))
    assert len(films) == 19 and {type(one) for one in others} <= {Doubt}
    assert len(others) + sum(len(record.masks) for _, _, record in films) >= 105  # some masks share a name
    assert sum("consolidation" in record.findings for _, _, record in films) == 6
