import pytest
import torch
from batches import make_batch
from torch.nn.functional import normalize

from anatomy_clip.core.types import Features
from anatomy_clip.metrics.streaming import Spread
from anatomy_clip.objectives.base import Objective
from anatomy_clip.training.watchers import CollapseWatcher

NOISE = torch.randn(400, 64, generator=torch.Generator().manual_seed(0))
BATCH = make_batch(torch.zeros(400, 1, 4, 4, dtype=torch.uint8))


class Images(Objective):
    """Compares nothing, so that its pooled features are watched."""

    compares = False


class Heads(Objective):
    """Compares, and embeds all images alike."""

    compares = True

    def embed_images(self, features):
        return torch.ones_like(features.pooled)


def seen(vectors, objective=Images, name="films"):
    watcher = CollapseWatcher(["films"])
    for part in torch.split(vectors, 100):
        watcher.start(None, objective()) if not hasattr(watcher, "_objective") else None
        watcher.step(name, BATCH, Features(part, part[:, None]))
    return watcher.end()


def test_spread_is_that_of_the_formula_whatever_the_batches():
    units = normalize(NOISE.double() + 2, dim=-1)
    expected = (units.std(dim=0, correction=0).mean() * 64**0.5).float()
    spread = Spread()
    for part in torch.split(NOISE + 2, 37):
        spread.update(3 * part)
    torch.testing.assert_close(spread.compute(), expected, atol=1e-5, rtol=1e-5)


def test_vectors_over_the_whole_sphere_have_spread_one_and_equal_ones_none():
    assert seen(NOISE)["spread/films"] == pytest.approx(1, abs=0.02)
    spread = Spread()
    spread.update(torch.ones(9, 5))
    assert spread.compute() < 1e-3


@pytest.mark.parametrize(
    "vectors",
    [1 + 1e-4 * NOISE, torch.zeros(400, 64), torch.full((400, 64), float("nan"))],
    ids=["alike", "zero", "not a number"],
)
def test_a_collapsed_training_is_stopped_with_a_remedy(vectors):
    with pytest.raises(ValueError, match=r"training has collapsed: all images of films.*overwrite=true and a smaller"):
        seen(vectors)


def test_where_the_objective_compares_its_own_embedding_is_watched():
    with pytest.raises(ValueError, match="collapsed"):
        seen(NOISE, Heads)


def test_one_image_is_like_no_other():
    assert seen(torch.ones(1, 64))["spread/films"] < 1e-3
