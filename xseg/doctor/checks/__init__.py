"""The doctor's checks, by what they look at. Each is a pure function of collected facts."""
