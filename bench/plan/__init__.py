"""Study -> what runs next: trials and their keys, tuning, progress, forecasts."""
