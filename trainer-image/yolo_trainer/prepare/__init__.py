"""The prepare stage: all that can go wrong without a GPU goes wrong here."""
