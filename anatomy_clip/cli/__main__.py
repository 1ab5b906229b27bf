"""`python -m anatomy_clip.cli` is the command `anatomy-clip`."""

from anatomy_clip.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
