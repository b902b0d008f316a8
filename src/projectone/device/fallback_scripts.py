"""Sentences to read before a server was ever reached: of the public corpus those with the most different sounds."""

from __future__ import annotations

from typing import Final

# Ids and texts are those of `server/scripts/sentences.tsv` (a test compares them); picked there without any needs.
FALLBACK: Final[tuple[tuple[str, str], ...]] = (
    ("own-136", "Vikram was born on October twelfth, nineteen sixty-seven."),
    ("own-135", "Yasmin was born on February thirteenth, nineteen twenty-five."),
    ("own-209", "Which train goes to Edinburgh from platform nine?"),
    ("own-264", "Blood pressure is one hundred and thirty over eighty-five."),
    ("own-155", "Ask Hiroshi and Oluwaseun to call Zoe back."),
    ("harvard-458", "The bills were mailed promptly on the tenth of the month."),
    ("own-108", "Flight W H four zero leaves soon."),
    ("own-259", "Arthur hasn't written, and Martin won't listen."),
    ("harvard-304", "Pink clouds floated with the breeze."),
    ("own-123", "The meeting is on Saturday the twenty-third of November."),
    ("own-247", "Huge humans view a few beautiful cubes."),
    ("harvard-346", "Let it burn, it gives us warmth and comfort."),
    ("own-197", "Navigate to the airport without motorways."),
    ("own-266", "Transfer fifty euros to my savings."),
    ("harvard-542", "He wrote his name boldly at the top of the sheet."),
    ("harvard-678", "We don't like to admit our small faults."),
    ("harvard-470", "The chair looked strong but had no bottom."),
    ("own-263", "Take one tablet twice a day after meals."),
    ("harvard-546", "The best method is to fix it in place with clips."),
    ("own-272", "The server rebooted at a quarter past three."),
    ("harvard-189", "He carved a head from the round block of marble."),
    ("own-215", "The vision of beige garages was an illusion."),
    ("harvard-567", "Footprints showed the path he took up the beach."),
    ("harvard-323", "We need grain to keep our mules healthy."),
    ("own-152", "Ask Mateusz and Geoffrey to call Ingrid back."),
    ("own-211", "Translate this sentence into Portuguese."),
    ("harvard-043", "Sickness kept him home the third week."),
    ("own-214", "She was measuring the treasure with casual pleasure."),
    ("harvard-038", "The young girl gave no clear response."),
    ("harvard-093", "A pound of sugar costs more than eggs."),
    ("harvard-485", "He offered proof in the form of a large chart."),
    ("harvard-700", "The pup jerked the leash as he saw a feline shape."),
    ("own-212", "The thief thought those three things through thoroughly."),
    ("harvard-409", "No hardship seemed to keep him sad."),
    ("own-233", "My boy enjoys the noise of coins and toys."),
    ("own-184", "Stop the music and open the next message."),
    ("harvard-640", "Bad nerves are jangled by a door slam."),
    ("harvard-484", "Crack the walnut with your sharp side teeth."),
    ("harvard-497", "A force equal to that would move the earth."),
    ("own-224", "Red lorries really roll like yellow rollers."),
)
