"""``python -m include.recovery.cli``."""

from __future__ import annotations

from include.recovery.cli.app import main

if __name__ == "__main__":
    main()
