"""What things are and their legal moves; knows the standard library only."""
