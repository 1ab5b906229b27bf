"""A small model in BiomedCLIP's layout, made and loaded by open_clip itself: a timm transformer beside a BERT."""

import json
import string

import open_clip
import torch
from models.clips import EMBED, MEAN, STD, pixels, stir
from open_clip.model import CustomTextCLIP
from transformers import BertConfig, BertTokenizer

VISION = {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear"}
BERT = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 128, "num_attention_heads": 2}
WORDS = ["image", "liver", "knee", "axial", "ct", "mr", "an", "of", "organs", "region", "the", "abdo", "##men"]
TEXTS = ["An image of liver organs", "knee", "A sagittal MR T2 image of the abdomen: it&#39;s  2 mm", ""]


def vocabulary():
    """Word pieces in the order of a BERT's: special ones first, every letter and digit among them."""
    letters = string.ascii_lowercase + string.digits
    pieces = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.punctuation, *letters]
    return pieces + [f"##{letter}" for letter in letters] + WORDS


def text_keys(bert, pooler="cls_last_hidden_state_pooler", projection="mlp"):
    """Keys of the text tower as the published file has them."""
    return {
        "hf_model_name": str(bert), "hf_tokenizer_name": str(bert), "hf_proj_type": projection,
        "hf_pooler_type": pooler, "context_length": 256,
    }  # fmt: skip


def stated(text):
    """The same keys as our config states them: with the BERT's sizes."""
    sizes = {"vocab_size": len(vocabulary()), "width": 32, "heads": 2, "layers": 2}
    return {**text, "hf_model_name": "someone/a-bert", "hf_tokenizer_name": "someone/a-bert", **sizes}


def write_tokenizer(folder):
    """A BERT's tokenizer, as transformers writes it."""
    (folder / "vocab.txt").write_text("\n".join(vocabulary()) + "\n")
    BertTokenizer.from_pretrained(folder, local_files_only=True).save_pretrained(folder)


def make_folder(folder, pooler="cls_last_hidden_state_pooler", projection="mlp", embed=EMBED, vision=VISION, bert=BERT):
    """Weights, configuration and tokenizer as on the hub; the BERT's own configuration stands apart, as there."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(parents=True)
    BertConfig(**{"vocab_size": len(vocabulary()), **bert}).save_pretrained(elsewhere)
    text = text_keys(elsewhere, pooler, projection)
    torch.manual_seed(0)
    model = stir(CustomTextCLIP(embed, dict(vision), {**text, "hf_model_pretrained": False}))
    model.logit_scale.data.fill_(4.25)
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    prepare = {"mean": MEAN.flatten().tolist(), "std": STD.flatten().tolist()}
    config = {"model_cfg": {"embed_dim": embed, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": prepare}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    write_tokenizer(folder)
    return folder


def theirs(folder):
    """The model and the tokenizer as open_clip loads them."""
    name = f"local-dir:{folder}"
    return open_clip.create_model(name).eval(), open_clip.get_tokenizer(name)


@torch.no_grad()
def their_embeds(folder, grey):
    """(image, text) embeddings of open_clip: every text padded to the whole context."""
    model, tokenizer = theirs(folder)
    tokens = tokenizer(TEXTS)
    assert tokens.shape == (len(TEXTS), 256)
    return model.encode_image(pixels(grey), normalize=True), model.encode_text(tokens, normalize=True)
