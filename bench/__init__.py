"""What measures speed: `make bench`."""
