"""Collections written in the forms that their publishers use."""

import csv
import pickle

import numpy as np
import pytest
from PIL import Image

from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.intensity import Display
from anatomy_clip.imaging.pictures import read_grey
from anatomy_clip.sources.figures.captions import fitted, modality_of, most_tokens, orientation_of, protocol_of
from anatomy_clip.sources.figures.roco import Roco, RocoCsv, RocoV2
from anatomy_clip.sources.figures.roco_tables import article_of, read_roco
from anatomy_clip.sources.figures.selection import select_figures, split_of

CT = "Axial CT scan of the abdomen showing a mass (arrow)."
SHARES = (("train", 0.8), ("validation", 0.1), ("test", 0.1))
# id -> split, article, file, caption, licence
FIGURES = {
    "ROCO_00001": ("train", "PMC100", "a-g001.jpg", CT, "CC BY"),
    "ROCO_00002": ("test", "PMC100", "a-g002.jpg", "Sagittal T1-weighted MRI of the knee.", "CC BY"),
    "ROCO_00003": ("train", "PMC200", "gr1.jpg", "Chest radiograph showing effusion.", "NO-CC CODE"),
    "ROCO_00004": ("validation", "PMC300", "gr1.jpg", "CT of the chest.", "CC BY-NC-SA"),
    "ROCO_00005": ("test", "PMC400", "f1.jpg", "Coronal CT image. " + "Of a very long and weary tale. " * 9, "CC BY"),
}


@pytest.fixture(autouse=True)
def forget():
    select_figures.cache_clear()


def save_image(path, mode="L", size=(64, 48)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels if mode == "RGB" else pixels[..., 0]).save(path, quality=95)


def roco(root, figures=FIGURES, links=True, licences=True, images="{id}.jpg"):
    for split in ("train", "validation", "test"):
        folder = root / "data" / split / "radiology"
        folder.mkdir(parents=True)
        own = {id_: row for id_, row in figures.items() if row[0] == split}
        (folder / "captions.txt").write_text("".join(f"{id_}\t {row[3]}\n" for id_, row in own.items()))
        if links:
            url = "wget -r ftp://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/69/93/{}.tar.gz -P /path/to/Dir"
            lines = [f"{id_}\t{url.format(article)}\t{name}\n" for id_, (_, article, name, *_) in own.items()]
            (folder / "dlinks.txt").write_text("".join(lines))
        if licences:
            lines = [f"{id_},{article}_{name},{cc}\n" for id_, (_, article, name, _, cc) in own.items()]
            (folder / "licences.txt").write_text("ROCO_ID,PMC_ID,CC\n" + "".join(lines))
        for id_, (_, article, name, *_) in own.items():
            save_image(folder / "images" / images.format(id=id_, pmc=f"{article}_{name}"), "RGB")
    return root


def rows_of(source):
    return {
        id_: (split, *next(source.slices(split, id_))) for split in source.splits() for id_ in source.volumes(split)
    }


def test_figures_are_split_by_article_and_counted(tmp_path):
    source = Roco(roco(tmp_path), licence="unknown")
    assert source.splits() == ["train", "validation", "test"]
    rows = rows_of(source)
    assert set(rows) == {"ROCO_00001", "ROCO_00002"}
    assert {split for split, *_ in rows.values()} == {split_of("PMC100", SHARES, 0)}
    _, image, record = rows["ROCO_00002"]
    assert (record.patient, record.series, record.licence) == ("PMC100", "ROCO_00002", "CC BY")
    assert record.caption == "Sagittal T1-weighted MRI of the knee."
    assert (record.modality, record.protocol, record.orientation) == (Modality.MR, Protocol.T1, Orientation.SAGITTAL)
    assert image.pixels.shape == (48, 64)
    summary = source.summary()
    assert (summary.figures, summary.articles, summary.shared_articles) == (5, 4, 1)
    assert summary.left_out == {
        "not clearly CT or MR": 1,
        "without exactly one named plane": 1,
        "with a caption that is too long": 1,
    }
    assert "1 of them in two published splits" in str(summary)


@pytest.mark.parametrize(("links", "licences"), [(True, False), (False, True)])
def test_either_file_names_the_article_and_either_name_finds_the_image(tmp_path, links, licences):
    source = Roco(roco(tmp_path, links=links, licences=licences, images="{pmc}"))
    assert {record.patient for _, _, record in rows_of(source).values()} == {"PMC100"}


def test_without_articles_nothing_can_be_split(tmp_path):
    with pytest.raises(ValueError, match=r"neither licences\.txt nor dlinks\.txt"):
        Roco(roco(tmp_path, links=False, licences=False)).volumes("train")


def test_published_splits_that_share_an_article_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"1 article.*PMC100 in test and train.*published_splits=false"):
        Roco(roco(tmp_path), published_splits=True).volumes("train")


def test_published_splits_are_kept_where_they_are_clean(tmp_path):
    clean = {id_: row for id_, row in FIGURES.items() if id_ != "ROCO_00002"}
    source = Roco(roco(tmp_path, clean), published_splits=True, plane_if_unnamed="axial", cut_at_sentence=True)
    assert {id_: split for id_, (split, *_) in rows_of(source).items()} == {
        "ROCO_00001": "train",
        "ROCO_00004": "validation",
        "ROCO_00005": "test",
    }


def test_the_split_of_an_article_depends_on_nothing_else():
    articles = [f"PMC{n}" for n in range(4000)]
    splits = [split_of(article, SHARES, 0) for article in articles]
    assert [splits.count(name) / 4000 for name, _ in SHARES] == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    assert splits == [split_of(article, SHARES, 0) for article in articles]
    assert splits != [split_of(article, SHARES, 1) for article in articles]


def test_a_source_that_was_used_is_pickled_without_its_lists(tmp_path):
    source = Roco(roco(tmp_path))
    source.volumes("train")
    assert len(pickle.dumps(source)) < 1000
    assert rows_of(pickle.loads(pickle.dumps(source))).keys() == rows_of(source).keys()


def test_the_csv_form_and_version_2_give_the_same(tmp_path):
    form = tmp_path / "csv"
    for split, word in (("train", "train"), ("validation", "val"), ("test", "test")):
        (form / split).mkdir(parents=True)
        with (form / split / f"radiology{word}data.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "name", "caption"])
            for id_, (own, article, name, caption, _) in FIGURES.items():
                if own == split:
                    writer.writerow([id_, f"{article}_{name}", caption + "\n"])
                    save_image(form / split / "radiology" / "images" / f"{article}_{name}")
    second = tmp_path / "v2"
    second.mkdir()
    with (second / "license_information.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ID", "PMCID", "Attribution", "Link"])
        for id_, (_, article, *_, licence) in FIGURES.items():
            link = f"https://www.ncbi.nlm.nih.gov/pmc/articles/{article}/"
            writer.writerow([id_, article, f"{licence} [Author et al. (2020)]", link])
    for word, split in (("train", "train"), ("valid", "validation"), ("test", "test")):
        with (second / f"{word}_captions.csv").open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.writer(file)
            writer.writerow(["ID", "Caption"])
            for id_, row in FIGURES.items():
                if row[0] == split:
                    writer.writerow([id_, row[3]])
                    save_image(second / word / f"{id_}.jpg")
    first = rows_of(Roco(roco(tmp_path / "v1")))
    for source in (RocoCsv(form), RocoV2(second)):
        rows = rows_of(source)
        assert {id_: (split, r.patient, r.caption) for id_, (split, _, r) in rows.items()} == {
            id_: (split, r.patient, r.caption) for id_, (split, _, r) in first.items()
        }
        assert source.summary().shared_articles == 1
    assert rows["ROCO_00001"][2].licence == "CC BY"
    assert rows["ROCO_00001"][2].source == "rocov2"


def test_the_display_gives_back_the_figures_grey_values(tmp_path):
    rows = rows_of(Roco(roco(tmp_path)))
    grey = read_grey(tmp_path / f"data/train/radiology/images/{'ROCO_00001'}.jpg")
    np.testing.assert_array_equal(Display().grey(rows["ROCO_00001"][1]), grey)


def test_captions_go_on_over_lines(tmp_path):
    roco(tmp_path)
    path = tmp_path / "data/train/radiology/captions.txt"
    path.write_text("ROCO_00001\t Axial CT\n scan,  late phase\nROCO_00003\t\n")
    assert [f.caption for f in read_roco(tmp_path)][:2] == ["Axial CT scan, late phase", ""]
    path.write_text("id caption\n")
    with pytest.raises(ValueError, match=r"captions\.txt, line 1: 'id caption' isn't"):
        read_roco(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match=r"captions\.txt: the file is missing"):
        read_roco(tmp_path)


def test_lists_that_lie_are_refused(tmp_path):
    roco(tmp_path)
    for split, word in (("train", "train"), ("validation", "val"), ("test", "test")):
        (tmp_path / split).mkdir()
        (tmp_path / split / f"radiology{word}data.csv").write_text("id,name,caption\nR9,../../../PMC9.jpg,CT\n")
    with pytest.raises(ValueError, match=r"R9 gives the file .* outside"):
        RocoCsv(tmp_path).volumes("train")
    captions = tmp_path / "data/train/radiology/captions.txt"
    captions.write_text(f"ROCO_00001\t{CT}\n" * 2)
    with pytest.raises(ValueError, match="ROCO_00001 is there twice"):
        Roco(tmp_path).volumes("train")
    (tmp_path / "data/train/radiology/licences.txt").write_text("ID,PMC\n")
    with pytest.raises(ValueError, match=r"licences\.txt: has no column ROCO_ID or PMC_ID or CC"):
        Roco(tmp_path).volumes("train")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:600]), "can't be read"),
        (lambda path: path.write_bytes(b"<html>not found</html>"), "can't be read"),
        (lambda path: path.write_bytes(b""), "can't be read"),
        (lambda path: path.unlink(), "image is missing"),
        (lambda path: save_image(path, size=(20, 90)), "20 x 90 pixels: too small"),
        (lambda path: Image.new("1", (8000, 8000)).save(path, "PNG"), "8000 x 8000 pixels"),
    ],
    ids="cut html empty gone tiny bomb".split(),
)
def test_a_broken_image_is_one_clear_message(tmp_path, damage, message):
    source = Roco(roco(tmp_path))
    path = tmp_path / "data/train/radiology/images/ROCO_00001.jpg"
    damage(path)
    with pytest.raises(ValueError, match=message) as caught:
        next(source.slices(split_of("PMC100", SHARES, 0), "ROCO_00001"))
    assert "ROCO_00001.jpg" in str(caught.value)


@pytest.mark.parametrize(
    ("caption", "modality"),
    [
        ("HRCT of the chest", Modality.CT),
        ("Computerised tomography of the brain", Modality.CT),
        ("T2WI shows a cyst", Modality.MR),
        ("MR image of the wrist", Modality.MR),
        ("Echocardiography: severe MR", None),
        ("Severe MR is seen", None),
        ("PET-CT with uptake", None),
        ("CT and MRI of the orbit", None),
        ("OCT of the retina", None),
        ("Radiograph taken after the CT", None),
        ("CBCT of the molar", None),
    ],
)
def test_modality_is_named_or_left_open(caption, modality):
    assert modality_of(caption) is modality


def test_protocol_and_plane_are_named_or_left_open():
    assert protocol_of("Axial T2 FLAIR image", Modality.MR) is Protocol.FLAIR
    assert protocol_of("T1 and T2 weighted MRI", Modality.MR) is Protocol.OTHER
    assert protocol_of("T2 level CT", Modality.CT) is Protocol.NONE
    assert orientation_of("Transverse CT") is Orientation.AXIAL
    assert orientation_of("Axial and coronal CT") is None
    assert orientation_of("CT") is None


def test_captions_are_kept_whole_or_cut_at_a_sentence():
    def words(text):
        return len(text.split())

    text = "A CT scan. It shows a 3.5 cm mass. The end."
    assert fitted(text, words, 11, False) == text
    assert fitted(text, words, 10, False) == ""
    assert fitted(text, words, 10, True) == "A CT scan. It shows a 3.5 cm mass."
    assert fitted(text, words, 8, True) == "A CT scan."
    assert fitted(text, words, 2, True) == ""
    assert most_tokens("") == 2
    assert most_tokens("CT scan, 3.5 cm") == 2 + 2 + 1 + 3 + 1


def test_articles_are_written_one_way():
    assert article_of("https://x.org/articles/PMC0012/") == "PMC12"
    assert article_of("PMC4083729_AMHSR-4-14-g002.jpg") == "PMC4083729"
    assert article_of("gr1.jpg") == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shares": {"train": 0.5}}, "sum to 1"),
        ({"plane_if_unnamed": "oblique"}, "'oblique'"),
        ({"window": (40, 0)}, "window"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        Roco(tmp_path, **arguments)
