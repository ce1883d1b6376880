"""The commands of ``tracker``, and the functions behind them."""
