"""A bundle: one folder with all that describing needs, every file checked before it is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.files import sha256_of, whole_folder
from anatomy_clip.describe.bundle import onnx_tower
from anatomy_clip.describe.bundle.preprocessing import Preprocessing
from anatomy_clip.inference.decisions import Decided, Decisions

if TYPE_CHECKING:
    from anatomy_clip.models.image_text import ImageTextModel

VERSION = 2  # 2: offsets of the scores
_READ = (1, VERSION)  # of version 1: as if nothing was added to the cosines that its thresholds were chosen on
SUMS = "SHA256SUMS"  # as `sha256sum -c` reads it
BUNDLE, TAXONOMY, DECISIONS, CAPTIONS = "bundle.json", "taxonomy.json", "decisions.json", "captions.json"
EMBEDDINGS, MODEL_CONFIG, MODEL, CARD = (
    "embeddings.safetensors", "open_clip_config.json", "open_clip_model.safetensors", "README.md",
)  # fmt: skip
FILES = (BUNDLE, TAXONOMY, DECISIONS, CAPTIONS, EMBEDDINGS, MODEL_CONFIG, MODEL, CARD)
KINDS = ("organ", "station", "caption")
_REMEDY = "export the bundle again, or download it again"

Floats = NDArray[np.float32]
Encoder = Callable[[NDArray[np.uint8]], Floats]  # (N, S, S) uint8 pictures -> (N, D) float32 unit norm


class Sentence(NamedTuple):
    """A complete caption that training slices give.

    Attributes:
        text: the sentence.
        modality: "CT", "MR T2" and so on, as it says.
        orientation: as it says.
    """

    text: str
    modality: str
    orientation: str


@dataclass(frozen=True, eq=False)
class Bundle:
    """What a bundle holds beside its network.

    Attributes:
        name: the run that it is of: `<suite>/<name>, seed <n>`.
        taxonomy: organs and stations with their codes.
        decisions: from scores to names.
        preprocessing: from slices to the model's input.
        prompts: "organ" and "station" -> evaluation prompts, a list a label.
        captions: the complete captions that a caption is chosen from.
        embeddings: "organ" (K, D), "station" (S, D), "caption" (C, D); float32, unit norm.
        scores: table cells as `results.json` has them.
        versions: package -> version that it was made with.
        offsets: "organ" (K,) and "station" (S,), what the evaluation added to the cosines before thresholds were
            chosen; a kind without any has none.
        folder: where it was read from.
        digest: SHA-256 of its list of checksums: names this very bundle; "" before it is written.
    """

    name: str
    taxonomy: Taxonomy
    decisions: Decisions
    preprocessing: Preprocessing
    prompts: Mapping[str, Sequence[Sequence[str]]]
    captions: tuple[Sentence, ...]
    embeddings: Mapping[str, Floats]
    scores: Sequence[Mapping[str, Any]]
    versions: Mapping[str, str]
    offsets: Mapping[str, Sequence[float]] = field(default_factory=dict)
    folder: Path = field(default=Path(), repr=False)
    digest: str = ""

    def decide(self, embeddings: Floats) -> Decided:
        """Name what slices show, by such scores as the thresholds were chosen on.

        Args:
            embeddings: (N, D) unit norm, of the slices.
        """
        organ, station = (
            embeddings @ self.embeddings[kind].T + np.asarray(self.offsets.get(kind, 0.0), np.float64)
            for kind in ("organ", "station")
        )
        return self.decisions.decide(organ, station)

    def model(self) -> ImageTextModel:
        """Load the network (imports torch and open_clip, which takes seconds).

        Raises:
            ValueError: its files don't fit each other.
        """
        from anatomy_clip.models.towers.open_clip import from_config

        config = _json(self.folder / MODEL_CONFIG)["model_cfg"]
        towers = {"vision": config["vision_cfg"], "text": config["text_cfg"]}
        return from_config(config["embed_dim"], **towers, weights=str(self.folder)).eval()

    def encoder(self, onnx: bool = False) -> Encoder:
        """Load the network's image tower as a function.

        Args:
            onnx: run its ONNX file, which imports neither torch nor open_clip.

        Raises:
            ValueError: the bundle has no ONNX file, or ONNX Runtime isn't installed.
        """
        if onnx:
            return onnx_tower.load_tower(self.folder / onnx_tower.FILE)
        import torch

        model = self.model()

        def encode(pictures: NDArray[np.uint8]) -> Floats:
            with torch.inference_mode():
                embedding = model.encode_image(torch.from_numpy(pictures)[:, None]).joint  # (N, D)
            return np.asarray(embedding.numpy(), np.float32)

        return encode


def shipped() -> Path:
    """The folder of the bundle that comes with the package.

    Raises:
        ValueError: this installation has none.
    """
    folder = Path(str(files("anatomy_clip.describe.bundle"))) / "shipped"
    if not (folder / SUMS).is_file():
        raise ValueError(
            "this installation comes without a bundle; give one with --bundle FOLDER (Describer.from_bundle(FOLDER)); "
            "`anatomy-clip export RUN` makes one from a trained run"
        )
    return folder


def read_bundle(folder: str | Path | None = None) -> Bundle:
    """Read a bundle and verify the checksum of every file of it.

    Args:
        folder: the folder, or `hf:<owner>/<name>@<commit>`; None: the one that comes with the package.

    Raises:
        ValueError: there is none, a file is missing, damaged or of another version; names the file and the remedy.
    """
    path = _located(folder)
    digest = _verified(path)
    about = _json(path / BUNDLE)
    if about.get("version") not in _READ:
        read = " and ".join(map(str, _READ))
        raise ValueError(
            f"{path / BUNDLE}: has version {about.get('version')}, but this program reads {read}; {_REMEDY}"
        )
    try:
        return Bundle(
            name=about["name"],
            taxonomy=Taxonomy.from_dict(_json(path / TAXONOMY)),
            decisions=Decisions.from_dict(_json(path / DECISIONS)),
            preprocessing=Preprocessing.from_dict(about["preprocessing"]),
            prompts=about["prompts"],
            captions=tuple(
                Sentence(*(one[key] for key in Sentence._fields)) for one in _json(path / CAPTIONS)["captions"]
            ),
            embeddings=_embeddings(path / EMBEDDINGS),
            offsets=about.get("offsets", {}),
            scores=about["scores"],
            versions=about["versions"],
            folder=path,
            digest=digest,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: is not complete ({type(error).__name__}: {error}); {_REMEDY}") from error


def write_bundle(
    bundle: Bundle, folder: Path, write_model: Callable[[Path], None], card: str, *, overwrite: bool = False
) -> str:
    """Write a bundle, whole or not at all.

    Args:
        bundle: what it says.
        folder: where to; made.
        write_model: writes open_clip's two files into a folder.
        card: text of its README.md.
        overwrite: replace the folder if it is there.

    Returns:
        Its digest.

    Raises:
        ValueError: the folder is there already.
    """
    with whole_folder(folder, unless=None if overwrite else "--overwrite") as partial:
        write_model(partial)
        _write_contents(bundle, partial)
        (partial / CARD).write_text(card, encoding="utf-8")
        written = sorted(path.name for path in partial.iterdir())
        sums = "".join(f"{sha256_of(partial / name)}  {name}\n" for name in written)
        (partial / SUMS).write_text(sums, encoding="ascii")
    return hashlib.sha256(sums.encode()).hexdigest()


def _write_contents(bundle: Bundle, folder: Path) -> None:
    from safetensors.numpy import save_file

    about = {
        "version": VERSION,
        "name": bundle.name,
        "intended_use": "research; not for diagnosis",
        "preprocessing": bundle.preprocessing.to_dict(),
        "prompts": bundle.prompts,
        "offsets": bundle.offsets,
        "scores": _finite(bundle.scores),
        "versions": dict(bundle.versions),
    }
    contents = {
        BUNDLE: about,
        TAXONOMY: bundle.taxonomy.to_dict(),
        DECISIONS: bundle.decisions.to_dict(),
        CAPTIONS: {"captions": [one._asdict() for one in bundle.captions]},
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    save_file({kind: np.ascontiguousarray(bundle.embeddings[kind]) for kind in KINDS}, folder / EMBEDDINGS)
    (folder / EMBEDDINGS).chmod(0o644)  # safetensors lets the owner alone read it


def _finite(scores: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """JSON knows no NaN: where a cell has no interval, null stands."""
    return [{key: None if value != value else value for key, value in score.items()} for score in scores]


def _located(folder: str | Path | None) -> Path:
    from anatomy_clip.models.weights import hub

    if folder is None:
        return shipped()
    if str(folder).startswith(hub.PREFIX):
        sums = hub.fetch(f"{folder}:{SUMS}", (), (SUMS,))
        return hub.fetch(str(folder), tuple(name for name in _sums(sums.parent) if name != MODEL), (MODEL,))
    return Path(folder)


def _sums(folder: Path) -> dict[str, str]:
    """File name -> SHA-256, of the list of checksums."""
    try:
        lines = (folder / SUMS).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{folder}: is not a bundle: it has no readable {SUMS} ({type(error).__name__})") from error
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in FILES:
        if name not in sums:
            raise ValueError(f"{folder / SUMS}: doesn't list {name}; {_REMEDY}")
    if strange := [name for name in sums if Path(name).name != name]:
        raise ValueError(f"{folder / SUMS}: lists {strange[0]!r}, which is not a file of a bundle; {_REMEDY}")
    return sums


def _verified(folder: Path) -> str:
    """Check every file against the list of checksums; returns the digest of the list."""
    for name, digest in _sums(folder).items():
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name}: is missing from the bundle; {_REMEDY}")
        if sha256_of(folder / name) != digest:
            raise ValueError(f"{folder / name}: its checksum isn't the one in {SUMS}; {_REMEDY}")
    return sha256_of(folder / SUMS)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: can't be read ({type(error).__name__}); {_REMEDY}") from error


def _embeddings(path: Path) -> dict[str, Floats]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found: dict[str, Floats] = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: can't be read ({error}); {_REMEDY}") from error
    if missing := [kind for kind in KINDS if kind not in found]:
        raise ValueError(f"{path}: has no embeddings of {', '.join(missing)}; {_REMEDY}")
    return found
