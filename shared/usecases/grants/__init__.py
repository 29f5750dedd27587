"""Accounts and the grants behind them: handing out, refreshing, probing, changing, removing."""
