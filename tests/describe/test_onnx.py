import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from models.clips import EMBED, TEXT, VIT, stir

from anatomy_clip.core.files import sha256_of
from anatomy_clip.describe.bundle import onnx_tower
from anatomy_clip.describe.bundle.export import export_run
from anatomy_clip.describe.bundle.folder import SUMS, read_bundle
from anatomy_clip.describe.bundle.onnx_tower import FILE, load_tower, write_tower
from anatomy_clip.describe.predictor import Describer
from anatomy_clip.models.towers.open_clip import from_config

RESNET = {"image_size": 64, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"}
HEAVY = ("torch", "torchvision", "open_clip", "timm", "onnx", "onnxscript", "transformers", "lightning")


@pytest.fixture(scope="module")
def onnx_folder(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    export_run(run_folder, folder, onnx=True)
    return folder


def assert_parity(encode, model, numbers):
    for n in numbers:
        grey = np.random.default_rng(n).integers(0, 256, (n, 64, 64), dtype=np.uint8)
        with torch.inference_mode():
            wanted = model.encode_image(torch.from_numpy(grey)[:, None]).embedding.numpy()
        found = encode(grey)
        assert found.dtype == np.float32 and found.shape == (n, EMBED)
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)


def test_a_resnet_embeds_as_torch_does_in_batches_of_any_size(tmp_path):
    torch.manual_seed(0)
    model = stir(from_config(EMBED, RESNET, TEXT, quick_gelu=True))
    write_tower(model, tmp_path / FILE)
    numbers = {1, 2, *np.random.default_rng().integers(3, 70, 4).tolist()}
    assert_parity(load_tower(tmp_path / FILE), model, numbers)


def test_a_bundles_vit_embeds_as_torch_does(onnx_folder):
    bundle = read_bundle(onnx_folder)
    assert_parity(bundle.encoder(onnx=True), bundle.model(), (1, 7, 32))


def test_the_file_is_checked_like_any_other_and_names_nothing_of_the_machine(onnx_folder):
    content = (onnx_folder / FILE).read_bytes()
    assert f"{sha256_of(onnx_folder / FILE)}  {FILE}\n" in (onnx_folder / SUMS).read_text()
    for word in (b"site-packages", b".py", b"/home", b"stack_trace"):
        assert word not in content
    assert VIT["width"] == 128 and len(content) > 128 * 128 * 4 * 12  # the weights are in it


def test_both_ways_describe_alike(onnx_folder, write):
    folder = write("a/1.dcm", z=0.0).parent
    for n in range(1, 6):
        write(f"a/{n + 1}.dcm", z=3.0 * n)
    plain, quick = (Describer.from_bundle(onnx_folder, onnx=onnx).describe(folder, workers=0) for onnx in (False, True))
    assert len(plain.series) == 1 and len(plain.series[0].slices) == 6
    assert len(leaves(plain.plain())) == len(leaves(quick.plain()))
    for a, b in zip(leaves(plain.plain()), leaves(quick.plain()), strict=True):
        assert a == b if not isinstance(a, float) else a == pytest.approx(b, abs=2e-4)


def leaves(value):
    if isinstance(value, dict | list):
        return [leaf for one in (value.values() if isinstance(value, dict) else value) for leaf in leaves(one)]
    return [value]


def test_torch_and_open_clip_are_never_imported(onnx_folder, write):
    code = (
        "import sys; from anatomy_clip.cli.main import main; status = main(sys.argv[1:]); "
        f"print(status, sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)"
    )
    order = ["describe", str(write("1.dcm")), "--bundle", str(onnx_folder), "--onnx", "--json", "--workers", "1"]
    done = subprocess.run([sys.executable, "-c", code, *order], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1:] == ["0 []"], done.stderr
    assert json.loads(done.stdout)["series"][0]["modality"] == "CT"


def test_what_is_missing_is_said_at_once(bundle_folder, onnx_folder, monkeypatch):
    with pytest.raises(ValueError, match=r"has no ONNX file; export it again with --onnx, or continue without ONNX"):
        Describer.from_bundle(bundle_folder, onnx=True)
    monkeypatch.setattr(onnx_tower, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"ONNX needs onnxruntime, which isn't installed; install anatomy_clip"):
        Describer.from_bundle(onnx_folder, onnx=True)
    with pytest.raises(ValueError, match=r"ONNX needs onnx, onnxscript, onnxruntime"):
        write_tower(None, None)


def test_a_file_that_is_no_network(tmp_path):
    (tmp_path / FILE).write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"image_tower\.onnx: ONNX Runtime can't use it"):
        load_tower(tmp_path / FILE)


def test_a_file_that_embeds_otherwise_is_refused(onnx_folder, tmp_path, monkeypatch):
    other = SimpleNamespace(model_proto=onnx.load(onnx_folder / FILE))
    monkeypatch.setattr(torch.onnx, "export", lambda *args, **kwargs: other)
    write_tower(read_bundle(onnx_folder).model(), tmp_path / "own.onnx")
    with pytest.raises(ValueError, match=r"its embeddings differ by .* from the model's; export it without ONNX"):
        write_tower(stir(from_config(EMBED, VIT, TEXT, quick_gelu=True), seed=1), tmp_path / "other.onnx")


def test_onnx_runtime_tells_nobody(tmp_path):
    """Left to itself it keeps a device id and a store of events at home, and sends them to its maker."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        proxy = f"http://127.0.0.1:{listening.getsockname()[1]}"
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")
        known = {k: v for k, v in os.environ.items() if k not in ("NO_PROXY", "no_proxy", "ORT_DISABLE_TELEMETRY")}
        env = {**known, **dict.fromkeys(names, proxy), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
        code = (
            "import time; import numpy as np; from anatomy_clip.describe.bundle import folder as bundle\n"
            "read = bundle.read_bundle(); size = read.preprocessing.image_size\n"
            "read.encoder(onnx=True)(np.zeros((2, size, size), np.uint8)); time.sleep(2)"
        )
        child = subprocess.Popen([sys.executable, "-c", code], env=env)
        while child.poll() is None:
            try:
                connection, _ = listening.accept()
                calls.append(connection.recv(200))
                connection.close()
            except TimeoutError:
                pass
    assert child.returncode == 0
    assert calls == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
