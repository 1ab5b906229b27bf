"""CITATION.cff says what pyproject.toml says."""

import tomllib
from pathlib import Path

import yaml

import anatomy_clip

ROOT = Path(__file__).resolve().parents[2]


def test_the_citation_has_the_version_the_licence_and_the_name_of_the_package():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cited["cff-version"] == "1.2.0" and cited["type"] == "software"
    assert str(cited["version"]) == anatomy_clip.__version__  # which is pyproject's: `dynamic`, [tool.hatch.version]
    assert (cited["title"], cited["license"]) == (project["name"], project["license"])
    assert cited["abstract"].removesuffix(".") == project["description"]
    assert cited["message"] and all(author.get("name") or author.get("family-names") for author in cited["authors"])


def test_the_paper_is_a_reference():
    (paper,) = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    assert paper["title"].startswith("Language Augmentation in CLIP") and paper["url"].endswith("/2405.20735")
    assert paper["authors"][0] == {"family-names": "Kakkar", "given-names": "Mansi"} and len(paper["authors"]) == 4
