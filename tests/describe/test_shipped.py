"""The bundle that comes with the package."""

import numpy as np

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.describe.bundle.folder import read_bundle
from anatomy_clip.describe.predictor import Describer


def test_it_is_whole_small_and_of_the_packages_taxonomy():
    bundle = read_bundle()  # every file is compared with its checksum
    assert sum(file.stat().st_size for file in bundle.folder.iterdir()) < 40e6
    assert bundle.taxonomy == Taxonomy.load("whole_body")
    for embedding in bundle.embeddings.values():
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1.0, atol=1e-5)


def test_it_knows_a_real_abdomen_with_either_tower(real):
    found = []
    for onnx in (False, True):
        with Describer.from_bundle(onnx=onnx) as describer:
            (series,) = describer.describe(real / "dicom/totalsegmentator/abdomen_ct", workers=1).series
        assert [one.name for one in series.stations] == ["abdomen"]
        assert series.organs[0].name == "liver"
        found.append([(one.name, one.score) for s in series.slices for one in s.organs])
    assert [one[0] for one in found[0]] == [one[0] for one in found[1]]
    np.testing.assert_allclose([one[1] for one in found[0]], [one[1] for one in found[1]], atol=1e-3)
