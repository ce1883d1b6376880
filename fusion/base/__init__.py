"""What both packages use: errors, files, checkpoints, tables, command lines, training."""
