"""What every room stands on: the error that a user reads, files written whole, devices, lazy packages."""
