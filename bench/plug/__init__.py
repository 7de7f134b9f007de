"""What can be plugged in: listed, described, begun, checked."""
