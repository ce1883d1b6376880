"""``tracker ablation``: many configurations of one trunk, trained and evaluated alike.

`plan` reads what to compare, `runs` trains and tracks, `report` compares the figures.
"""
