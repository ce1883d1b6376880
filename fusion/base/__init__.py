"""What both packages stand on: errors, files, checkpoints, tables, commands, trainings."""
