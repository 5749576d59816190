"""``python -m forearm``, which ``accelerate launch -m forearm`` also runs."""

from forearm.cli import main

if __name__ == "__main__":
    main()
