"""What measures speed: `make bench` (docs/performance.md)."""
