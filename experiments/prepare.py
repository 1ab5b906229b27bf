"""A source to slice stores, one a split, each with a contact sheet; the same as `anatomy-clip prepare`.

python experiments/prepare.py source=phantom
"""

from anatomy_clip.cli.program import start

if __name__ == "__main__":
    start("prepare")
