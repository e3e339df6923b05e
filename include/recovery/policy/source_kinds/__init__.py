"""One module for each kind of source but PostgreSQL: its policy's model, named as the kind."""
