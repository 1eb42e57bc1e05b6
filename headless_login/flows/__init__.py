"""How a grant is won: siblings that differ only in the road the answer takes."""
