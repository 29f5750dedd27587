"""Table Storage: one file for each table, over one way of writing."""
