"""``python -m forearm``, which ``accelerate launch -m forearm`` also runs."""

import sys


def main() -> None:
    """Run the command line, which takes a moment to import; Ctrl-C meanwhile is as quiet as it is later."""
    try:
        from forearm.cli import main as run
    except KeyboardInterrupt:
        print("forearm: stopped", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
