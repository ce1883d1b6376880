"""The commands of ``fusion``, and the functions from files to files behind them."""
