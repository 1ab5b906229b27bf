"""Check stores: checksums, labels, what they hold, what they share; the same as `anatomy-clip check`.

python experiments/check.py
python experiments/check.py '+stores.real=data/real/real'
"""

from anatomy_clip.cli.program import start

if __name__ == "__main__":
    start("check")
