"""What tests of describing share beside fixtures."""

import numpy as np
from pydicom.uid import generate_uid

from anatomy_clip.inference.decisions import choose

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
SECRETS = ("SECRET^PERSON", "SECRETID", "19010203", "SECRET WORDS")


def decisions(taxonomy, seed=0):
    rng = np.random.default_rng(seed)
    targets = [rng.random((60, len(names))) < 0.2 for names in (taxonomy.organs, taxonomy.stations)]
    scores = [rng.normal(0, 0.2, one.shape) + 0.5 * one for one in targets]
    return choose(scores[0], targets[0], scores[1], targets[1], taxonomy)


def body(seed=0, shape=(40, 32)):
    """Something that is no constant, in stored values of a CT."""
    rng = np.random.default_rng(seed)
    return rng.integers(900, 1200, shape).astype(np.int16)


def uid(name):
    return generate_uid(entropy_srcs=[name])
