"""A finished suite to Weights & Biases; the same as `anatomy-clip publish`.

python experiments/publish.py suite=table3 mode=online
"""

from anatomy_clip.cli.program import start

if __name__ == "__main__":
    start("publish")
