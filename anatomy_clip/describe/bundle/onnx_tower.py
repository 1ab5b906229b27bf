"""The image tower as an ONNX file: ONNX Runtime describes without torch and open_clip, whose imports take seconds."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from anatomy_clip.models.image_text import ImageTextModel

FILE = "image_tower.onnx"
TOLERANCE = 1e-5  # of an embedding's components
_IN, _OUT = "pictures", "embeddings"
_CHECKED = 5  # pictures that both towers embed before the file is taken for good
_REMEDY = "install anatomy_clip[onnx], or continue without ONNX"


def write_tower(model: ImageTextModel, path: Path) -> None:
    """Write a model's image tower, normalisation included: (N, S, S) uint8 -> (N, D) float32 unit norm.

    Nothing of this machine gets into the file, where the exporter would note the program's paths at every node.

    Raises:
        ValueError: a package of the extra `onnx` is missing, the network can't be exported, or the file's embeddings
            aren't the model's.
    """
    _need("onnx", "onnxscript", "onnxruntime")
    _keep_quiet()
    import torch

    class Tower(torch.nn.Module):
        """Pictures to embeddings, as `Bundle.encoder` has it."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.model.encode_image(pictures[:, None]).joint  # (N, D)

    tower, side = Tower().eval(), model.image_size
    pictures = torch.randint(256, (_CHECKED, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    try:
        program = torch.onnx.export(
            tower, (pictures,), dynamo=True, verbose=False, input_names=[_IN], output_names=[_OUT],
            dynamic_shapes=({0: torch.export.Dim("n")},),
        )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"the image tower can't be exported ({first}); export it without ONNX") from error
    path.write_bytes(_plain(program).SerializeToString())
    with torch.inference_mode():
        wanted = tower(pictures).numpy()
    difference = float(np.abs(load_tower(path)(pictures.numpy()) - wanted).max())
    if not difference <= TOLERANCE:
        raise ValueError(f"{path}: its embeddings differ by {difference:.1e} from the model's; export it without ONNX")


def load_tower(path: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Load a file from `write_tower` as a function, (N, S, S) uint8 -> (N, D) float32 unit norm.

    Raises:
        ValueError: ONNX Runtime is missing, or can't use the file.
    """
    check(path)
    _keep_quiet()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    # Threads that wait would burn the processors that other processes read files with.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base but this
        raise ValueError(f"{path}: ONNX Runtime can't use it ({type(error).__name__}); {_REMEDY}") from error

    def encode(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        embeddings: NDArray[np.float32] = session.run([_OUT], {_IN: pictures})[0]
        return embeddings

    return encode


def _keep_quiet() -> None:
    """Keep ONNX Runtime from sending its maker events and from leaving a device id behind; before it's imported."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def check(path: Path) -> None:
    """Check that a tower can be loaded, without loading anything.

    Raises:
        ValueError: the file is missing, or ONNX Runtime is.
    """
    if not path.is_file():
        raise ValueError(f"{path}: the bundle has no ONNX file; export it again with --onnx, or continue without ONNX")
    _need("onnxruntime")


def _need(*packages: str) -> None:
    if missing := [name for name in packages if find_spec(name) is None]:
        raise ValueError(f"ONNX needs {', '.join(missing)}, which isn't installed; {_REMEDY}")


def _plain(program: Any) -> Any:
    """The program as a protocol buffer, without notes on how it came about."""
    proto = program.model_proto
    graph = proto.graph
    for part in (proto, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    return proto
