"""A suite's finished runs to tables, plots and a page; the same as `anatomy-clip results`.

python experiments/results.py suite=table3 readme=true
"""

from anatomy_clip.cli.program import start

if __name__ == "__main__":
    start("results")
