import json

import pytest
from films import make_film_store

from anatomy_clip.core.refusals import Refused
from anatomy_clip.stores.store import Store, read_meta
from anatomy_clip.stores.vocabulary import VOCABULARY, read_vocabulary

WORDS = "a and are clear effusion heart is left lungs no normal pleural pneumothorax small the there".split()


def test_a_store_of_films_with_reports_keeps_their_words_under_a_checksum(tmp_path):
    store = make_film_store(tmp_path / "train")
    assert read_vocabulary(store) == tuple(word for word in WORDS if word != "and")
    assert VOCABULARY in read_meta(store)["sha256"]
    Store.open(store, verify=True, kind=None)
    (store / VOCABULARY).write_text(json.dumps(["another"]))
    with pytest.raises(ValueError, match=r"vocabulary\.json: its checksum"):
        Store.open(store, verify=True, kind=None)


def test_films_without_reports_have_none(tmp_path):
    store = make_film_store(tmp_path / "train", report={})
    assert VOCABULARY not in read_meta(store)["sha256"]
    with pytest.raises(Refused, match=r"vocabulary\.json: it has no readable vocabulary.*has no films with reports"):
        read_vocabulary(store)
