"""Forecasts of arms that nobody has described, held against what the arms did.

| module | holds |
|---|---|
| `test_sets.py` | windows of held-out arms, by how they were driven |
| `forecasters.py` | who forecasts: hold, the described arm, least squares, trained networks |
| `study.py` | errors, scores and times of all of them; a line of JSON each |
| `report.py` | the table and the picture |
"""
