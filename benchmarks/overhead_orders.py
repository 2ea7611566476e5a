"""What all patterns order, from the environment in which their DAGs are read."""

from __future__ import annotations

import os

SEGMIND = os.environ["OVERHEAD_SEGMIND"]
"""Where the emulator is."""
SCENE = f"{SEGMIND}/samples/scene/0.png"
PEOPLE = [f"{SEGMIND}/samples/person/{number}.png" for number in range(int(os.environ["OVERHEAD_SWAPS"]))]
RESULTS = os.environ["OVERHEAD_RESULTS"]
"""URI of the folder for a batch's results."""
POLL = 1.0
"""Seconds between polls: a fifth of what the jobs take, as the usual 7 s are of the usual 35 s."""
SWAPS = [
    {"character_image": SCENE, "reference_character_image": person, "select_character": "woman"} for person in PEOPLE
]
