"""How well trackers do: PR, NPR and SR of the RGBT benchmarks, A, R and EAO of VOT-RGBT.

`ope`: one pass through each sequence (GTOT, RGBT210, RGBT234, LasHeR, sequences in VOT's layout).
`vot`: many starts in each sequence (VOT2020-RGBT), run by the VOT toolkit. `baselines`: trackers to
compare with. `plots`: the curves of both protocols. `origin`: notes of what results were made with.
"""
