"""What tests of growing boards share."""

STAGES = [[3, 3], [4, 3], [5, 4]]
