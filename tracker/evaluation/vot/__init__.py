"""Evaluation on VOT2020-RGBT: runs through the VOT toolkit, A, R and EAO.

`creation` fills a workspace, `workspace` reads it once, and everything else works on that object:
`run` and `pool` run its trackers, `figures` computes A, R and EAO, `report` shows them, `tuning`
chooses settings. `toolkit` alone imports the VOT toolkit. Imports run one way:

    regions -> trajectories -> sequences, stack, trackers_ini -> workspace
    -> figures, toolkit, run -> report, tuning, demo -> commands
"""
