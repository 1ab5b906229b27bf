import open_clip
import pytest
import torch

from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.models.towers.prefix_trees import prefix_trees

VISION = {"image_size": 32, "patch_size": 16, "width": 64, "layers": 1, "head_width": 32}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
CAPTIONS = [
    "An image of axial CT scan consisting of liver organs",
    "An image of axial CT scan consisting of liver, kidneys organs",
    "An image of axial CT scan consisting of liver, kidneys organs",
    "An image of sagittal MR T2 scan",
    "foot",
    "Image of the brain",
    "An image of axial CT scan consisting of liver organs",
]


def padded(*rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows as (B, L) tokens and where each ends."""
    length = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    return tokens, torch.tensor([len(row) - 1 for row in rows])


def paths(trees, tokens, ends):
    """The tokens that each caption's end may look at, in the order of their positions."""
    size = trees.tokens.shape[1]
    found = []
    for caption, end in enumerate(ends.tolist()):
        tree, node = divmod(int(trees.nodes[caption, -1]), size)
        seen = (trees.mask[tree, node] == 0).nonzero().flatten()
        seen = seen[trees.positions[tree, seen].argsort()]
        assert trees.positions[tree, seen].tolist() == list(range(end + 1))
        found.append(trees.tokens[tree, seen].tolist())
    assert found == [row[: end + 1].tolist() for row, end in zip(tokens, ends, strict=True)]


def test_what_captions_begin_with_stands_once():
    tokens, ends = padded([7, 1, 2, 9], [7, 1, 3, 4, 9], [7, 5, 2, 9], [7, 5, 2, 9])
    trees = prefix_trees(tokens, ends)
    assert trees.tokens.tolist() == [[7, 1, 2, 9, 3, 4, 9, 5, 2, 9]]
    assert trees.positions.tolist() == [[0, 1, 2, 3, 2, 3, 4, 1, 2, 3]]
    assert trees.nodes.tolist() == [[0, 1, 2, 3, 3], [0, 1, 4, 5, 6], [0, 7, 8, 9, 9], [0, 7, 8, 9, 9]]
    paths(trees, tokens, ends)


@pytest.mark.parametrize("nodes", [1, 7, 20, 256])
@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_every_caption_is_a_path_of_its_tree(nodes, order):
    torch.manual_seed(nodes)
    rows = [[8, *torch.randint(1, 3, (int(n),)).tolist(), 9] for n in torch.randint(0, 6, (23,))]
    tokens, ends = padded(*(sorted(rows) if order == "sorted" else rows))
    trees = prefix_trees(tokens, ends, nodes)
    paths(trees, tokens, ends)
    assert trees.tokens.shape[0] > 1 or nodes > 7


def test_a_caption_alone_is_its_own_tree():
    tokens, ends = padded([7, 1, 9])
    trees = prefix_trees(tokens, ends, nodes=1)
    assert trees.tokens.tolist() == [[7, 1, 9]]
    assert torch.equal(trees.mask[0] == 0, torch.ones(3, 3).tril().bool())


@pytest.mark.parametrize("more", [[], [f"An image of {n} by {m} cm" for n in range(9) for m in range(9)]])
def test_embeddings_and_gradients_equal_open_clips(more):
    torch.manual_seed(0)
    ours = from_config(16, VISION, TEXT, quick_gelu=True).double()
    torch.manual_seed(0)
    theirs = open_clip.CLIP(16, dict(VISION), dict(TEXT), quick_gelu=True).double()
    tokens = open_clip.SimpleTokenizer()([*CAPTIONS, *more])  # (7 or 88, 77): one tree or several
    mine, other = ours.encode_text(tokens).embedding, theirs.encode_text(tokens, normalize=True)
    torch.testing.assert_close(mine, other, atol=1e-12, rtol=0)
    weight = torch.randn(mine.shape, dtype=torch.float64)
    (mine * weight).sum().backward()
    (other * weight).sum().backward()
    for name, parameter in ours.text.named_parameters():
        expected = theirs.get_parameter(name).grad
        torch.testing.assert_close(parameter.grad, expected, atol=1e-10, rtol=1e-10, msg=name)


def test_local_features_are_open_clips_up_to_the_captions_end():
    torch.manual_seed(0)
    ours = from_config(16, VISION, TEXT)
    tokens = open_clip.SimpleTokenizer()(["brain", "knee and leg"])
    with torch.no_grad():
        local = ours.encode_text(tokens).local
        x = ours.text.token_embedding(tokens) + ours.text.positional_embedding
        full = ours.text.ln_final(ours.text.transformer(x, attn_mask=torch.full((77, 77), -torch.inf).triu(1)))
    for row, end in enumerate([2, 4]):
        torch.testing.assert_close(local[row, : end + 1], full[row, : end + 1], atol=1e-5, rtol=0)
        assert torch.equal(local[row, end:], local[row, end].expand(77 - end, -1))
