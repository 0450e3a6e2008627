"""What the tests stand on: real filesystems, real processes, faults, power cuts, and eyes to see what came of it."""
