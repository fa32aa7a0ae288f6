"""Those who write the same rows, one in each file: its ``ready(job)`` returns the function for one round."""
