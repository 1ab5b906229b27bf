"""The plan's numbers by hand, and the program that prints it."""

import pytest
import torch
from hydra import initialize_config_dir
from support import CONF, compose_config

from anatomy_clip.cli import estimate as program
from anatomy_clip.cli.program import start
from anatomy_clip.runs.estimate import Hardware, Missing, PlannedRun, disk_needed, gpu_memory_needed, render

HARDWARE = Hardware(devices=8, tflops=75, overhead=1.2, price=2.0)  # 2,500 samples/s a GPU at 10 GFLOP forward


def planned(**changes):
    given = {
        "name": "pmc_m", "seed": 0, "train_slices": 1000, "images_per_image": 4, "epochs": 3, "batch": 512,
        "parameters": 1_000_000, "gflop": 10.0, "memory_bytes": 4e9, "test_slices": 100,
    }  # fmt: skip
    return PlannedRun(**given | changes)


def test_steps_images_time_and_cost_by_hand():
    run = planned()
    assert run.rate(HARDWARE) == 2500
    assert run.steps == 3 * 7  # 4,000 images an epoch fill 7 batches
    assert run.images == 21 * 512
    assert run.hours(HARDWARE) == pytest.approx(21 * 512 / 20_000 * 1.2 / 3600)
    long = planned(epochs=3_000)
    text = render("title", [long], HARDWARE, [])
    hours = 21_000 * 512 / 20_000 * 1.2 / 3600
    assert f"{hours:,.1f} h on 8 GPU(s) = {hours * 8:,.1f} GPU hours" in text
    assert f"{hours * 16:,.2f} at 2 per GPU hour" in text
    assert "nothing is missing" in text


def test_a_finished_run_costs_nothing_and_an_evaluation_does_not_train():
    done, base = planned(finished=True), planned(name="pmc", train_slices=0, epochs=0)
    assert done.hours(HARDWARE) == done.disk_bytes == base.hours(HARDWARE) == 0
    text = render("title", [base, done], HARDWARE, [])
    assert "evaluation only" in text and "finished" in text


def test_disk_holds_every_checkpoint_and_one_more():
    # weights and two moments of 4 bytes each; the last one stands twice while it is written
    assert disk_needed([planned(), planned(seed=1)]) == 3 * 12_000_000 + 2 * 100 * 600
    assert gpu_memory_needed(1_000_000, 64, 10.0) == 16e6 + 640e6 + 3e9


def test_one_remedy_stands_once():
    lost = [Missing("a", ("get them",)), Missing("c", ("buy it",)), Missing("b", ("get them",))]
    lines = render("title", [planned(guessed=True)], HARDWARE, lost).splitlines()
    assert lines[-5:] == ["- a", "- b", "    get them", "- c", "    buy it"]
    assert any("~1,000" in line for line in lines)


def composed(tmp_path, *overrides):
    return compose_config("estimate", f"paths.data={tmp_path}/data", f"paths.weights={tmp_path}", *overrides)


@pytest.mark.parametrize(("suite", "model"), [("table3", "ViT-B-32"), ("table3_rn50", "RN50")])
def test_runs_of_a_suite_are_its_columns_for_each_seed(tmp_path, suite, model):
    cfg = composed(tmp_path, f"suite={suite}", "seeds=[0,1]")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        runs = program.suite_configs(cfg)
    columns = ["pmc", "pmc_m", "pmc_ms", "pmc_msa"]
    assert [(r.suite, r.name, r.seed) for r in runs] == [(suite, c, s) for s in (0, 1) for c in columns]
    assert {r.model.architecture for r in runs} == {f"{model}-quickgelu"}
    assert [program.planned(cfg, r).epochs for r in runs[:4]] == [0, 50, 50, 50]


def test_parameters_are_those_of_the_networks(tmp_path):
    from open_clip import CLIP, get_model_config

    assumed = composed(tmp_path).assumed
    for name in ("RN50", "ViT-B-32"):
        with torch.device("meta"):
            model = CLIP(**get_model_config(f"{name}-quickgelu"))
        assert sum(p.numel() for p in model.parameters()) == assumed.parameters[name]


def test_towers_of_films_have_the_parameters_and_operations_that_the_plan_takes(tmp_path):
    import timm
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import BertConfig, BertModel

    assumed = composed(tmp_path).assumed
    with torch.device("meta"):
        networks = {
            "resnet50": (timm.create_model("resnet50", num_classes=0), torch.empty(1, 3, 224, 224)),
            "BERT": (BertModel(BertConfig(vocab_size=28996), add_pooling_layer=False), torch.ones(1, 40).long()),
        }
        for name, (network, sample) in networks.items():
            assert sum(p.numel() for p in network.parameters()) == assumed.parameters[name]
            with FlopCounterMode(display=False) as counter:
                network.eval()(sample)
            assert counter.get_total_flops() / 1e9 == pytest.approx(assumed.gflop[name], rel=0.02), name


def test_pretraining_on_radiographs_is_planned_by_what_each_method_runs(tmp_path, capsys, monkeypatch):
    cfg = composed(tmp_path, "suite=pretraining_paper")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        runs = {run.name: run for run in program.suite_configs(cfg)}
    plans = {name: program.planned(cfg, run) for name, run in runs.items()}
    larger = (299 / 224) ** 2
    assert plans["simclr"].gflop == pytest.approx(2 * 8.2) and plans["supervised"].gflop == pytest.approx(8.2)
    assert plans["gloria"].gflop == pytest.approx(8.2 * larger + 6.9)
    assert plans["convirt"].parameters == 23508032 + 107719680 and plans["moco"].parameters == 23508032
    assert plans["convirt"].steps == 217000 // 32 * 50 and plans["clip"].batch == 512
    assert plans["gloria"].memory_bytes == 131227712 * 16 + 48 * (90 * larger + 20) * 1e6 + 3e9
    told = [item.what for item in program.missing_weights(cfg, list(runs.values()))]
    assert [what.split("/")[-1] for what in told] == [
        "Bio_ClinicalBERT: no such file or folder", "resnet50.pth: no such file or folder",
    ]  # fmt: skip
    stores = list(program.missing_stores(cfg, list(runs.values())))
    assert len(stores) == 6 and all("source=films source.pixels=320 side=320" in s.remedy[0] for s in stores)
    monkeypatch.setattr(program, "suite_configs", lambda _: list(runs.values()))
    assert program.main(cfg) == 3
    assert "gloria seed 0" in capsys.readouterr().out


def test_columns_of_the_papers_are_the_same_at_both_scales():
    names = ("convirt", "gloria", "simclr", "random")
    for name in names:
        laptop, paper = (
            compose_config("config", f"scale={scale}", f"experiment=pretraining_paper/{name}")
            for scale in ("laptop", "paper")
        )
        assert laptop == paper, name


def test_weights_are_looked_at(tmp_path):
    cfg = composed(tmp_path, "weights_gb={PubMedCLIP_ViT32.pth: 1.0e-6}")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        runs = program.suite_configs(cfg)
    file = tmp_path / "PubMedCLIP_ViT32.pth"
    (missing,) = program.missing_weights(cfg, runs)
    assert "no such file" in missing.what and "github.com/sarahESL/PubMedCLIP" in missing.remedy[0]
    file.write_bytes(b"x" * 100)
    (missing,) = program.missing_weights(cfg, runs)
    assert "the download is not complete" in missing.what
    file.write_bytes(b"x" * 2000)
    (missing,) = program.missing_weights(cfg, runs)
    assert "can't be read as weights" in missing.what
    torch.save({"state_dict": {"logit_scale": torch.zeros(1000)}}, file)
    assert not list(program.missing_weights(cfg, runs))


def test_disk_and_gpus_are_looked_at(tmp_path, monkeypatch):
    cfg = composed(tmp_path)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        run = program.suite_configs(cfg)[1]
    (missing,) = program.missing_disk(run, [planned(parameters=10**15)])
    assert "are needed" in missing.what
    assert not list(program.missing_disk(run, [planned(parameters=10)]))

    def gpus(count, gb):
        properties = type("Properties", (), {"total_memory": gb * 1e9})
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda n: properties)
        return [m.what for m in program.missing_gpus(cfg, run, program.planned(cfg, run).memory_bytes)]

    assert gpus(8, 40) == []
    assert gpus(4, 40) == ["GPUs: 8 are needed on this node, it has 4"]
    assert "the smallest GPU has 4.0 GB" in gpus(8, 4)[0]


def test_stores_are_looked_at(tmp_path):
    from anatomy_clip.core.records import SliceRecord
    from anatomy_clip.core.terms import Modality, Orientation, Protocol
    from anatomy_clip.stores.store import write_store

    cfg = composed(tmp_path)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        runs = program.suite_configs(cfg)
    missing = list(program.missing_stores(cfg, runs))
    assert len(missing) == 7
    assert any("source.modality=MR" in step and f"{tmp_path}/data" in step for m in missing for step in m.remedy)
    record = SliceRecord(
        source="t", split="train", patient="p", study="s", series="s", index=0, modality=Modality.CT,
        protocol=Protocol.NONE, orientation=Orientation.AXIAL, structures={"liver": 9000.0},
    )  # fmt: skip
    import numpy as np

    for side, left in ((256, 6), (128, 7)):
        store = tmp_path / "data/totalsegmentator_ct/train"
        store.parent.mkdir(parents=True, exist_ok=True)
        write_store(store, np.zeros((1, side, side), np.uint8), [record], {})
        missing = list(program.missing_stores(cfg, runs))
        assert len(missing) == left
    assert any("contains 1 slices of 128 px; the model takes 224 px" in m.what for m in missing)


@pytest.mark.parametrize("only", [True, False])
def test_the_program_tells_what_is_missing(tmp_path, capsys, only):
    arguments = [f"plan_only={only}", f"paths.data={tmp_path}", f"paths.weights={tmp_path}"]
    if only:
        start("estimate", arguments)
    else:
        with pytest.raises(SystemExit) as end:
            start("estimate", arguments)
        assert end.value.code == 3
    told = capsys.readouterr().out
    assert "PubMedCLIP_ViT32.pth: no such file" in told
    assert "anatomy-clip download totalsegmentator_mr" in told
