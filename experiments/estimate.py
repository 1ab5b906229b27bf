"""What the runs of a suite would take, and what is missing for them; the same as `anatomy-clip estimate`.

python experiments/estimate.py plan_only=true seeds=[0,1,2]
"""

from anatomy_clip.cli.program import start

if __name__ == "__main__":
    start("estimate")
