"""Records to answers: read requests from anywhere, select, summarise, explain, compare, hold against budgets."""
