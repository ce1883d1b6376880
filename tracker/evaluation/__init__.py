"""How well trackers do: PR, NPR and SR of the RGBT benchmarks, A, R and EAO of VOT-RGBT.

`ope`: the figures of one pass through each sequence (GTOT, RGBT210, RGBT234, LasHeR), from raw
results, which `ope_files` reads and `one_pass` makes. `multistart`: the figures of many starts in
each sequence (VOT2020-RGBT), from the VOT toolkit's results, which `vot_files` reads; `workspace`
and `vot` make them. `plots`: the curves of both. `ope_commands`, `vot_commands` and `vot_analysis`
are the command lines.
"""
