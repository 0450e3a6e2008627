"""What the kernel offers and Python's os does not, or not safely enough. Nothing here knows of publications."""
