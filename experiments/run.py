"""Run one experiment, or sweep over many; the same as `anatomy-clip train`.

python experiments/run.py experiment=table3/pmc_m seed=1
python experiments/run.py --multirun sweep=table3
"""

from anatomy_clip.cli.program import start

if __name__ == "__main__":
    start("train")
