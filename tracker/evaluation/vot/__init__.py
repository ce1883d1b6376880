"""Evaluation on VOT2020-RGBT: the workspace, runs through the VOT toolkit, A, R and EAO."""
