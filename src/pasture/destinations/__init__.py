"""Where the outcomes of asynchronous events go."""
