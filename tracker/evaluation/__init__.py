"""How well trackers do: PR, NPR and SR of the RGBT benchmarks, A, R and EAO of VOT-RGBT.

`tracker.evaluation.ope`: one pass through each sequence (GTOT, RGBT210, RGBT234, LasHeR).
`tracker.evaluation.multistart`: many starts in each sequence (VOT2020-RGBT).
`tracker.evaluation.plots`: their curves as figures.
"""
