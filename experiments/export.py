"""Write a run as a model of open_clip or transformers; the same as `anatomy-clip export-weights`.

python experiments/export.py run=table3/pmc_msa/seed_0 layout=transformers
"""

from anatomy_clip.cli.program import start

if __name__ == "__main__":
    start("export-weights")
