"""What the warehouse calls things."""

SOLD_OUT = "E42"
