"""Nested mappings by dotted key."""

from anatomy_clip.core.trees import differences, leaves, without

A = {"stages": ["evaluate"], "augment": {"rotation": None, "flip": {"p": 0.3}}, "prompts": {"templates": ["x"]}}
C = {"stages": ["fit"], "augment": {"rotation": {"p": 1}, "flip": {"p": 0.3}}, "prompts": {"templates": ["y"]}}


def test_differing_keys_are_the_leaves():
    assert list(differences(A, C)) == ["augment.rotation", "prompts.templates", "stages"]
    assert differences({"x": {"y": 1}}, {"x": None}) == {"x": ({"y": 1}, None)}


def test_more_than_two_are_compared_and_a_missing_key_is_null():
    assert differences({"x": {"y": 1}}, {"x": {"y": 1}}, {"x": {}}) == {"x.y": (1, 1, None)}
    assert differences({"x": None}, {}) == differences(A) == differences() == {}


def test_leaves_and_keys_left_out():
    assert leaves(A) == {
        "stages": ["evaluate"], "augment.rotation": None, "augment.flip.p": 0.3, "prompts.templates": ["x"],
    }  # fmt: skip
    assert without(A, {"augment.flip", "prompts"}) == {"stages": ["evaluate"], "augment": {"rotation": None}}
