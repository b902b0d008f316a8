"""Closed lists of English words that the search for personal data reads."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MONTHS = _words(
    "january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sept sep oct nov dec"
)

UNITS = _words(
    "zero oh nought one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million double "
    "triple"
)

DIGITS = _words("zero oh nought one two three four five six seven eight nine")

# Behind one or two digits these make an amount, which says little of a person.
MEASURES = _words(
    "st nd rd th s am pm a p h hr hrs min mins sec d x k m km cm mm mi ft in kg g mg lb lbs oz l ml cl gb mb tb kb "
    "hz khz mhz ghz mph kmh kph v w kw kwh mah px fps c f bn"
)

ORDINALS = _words(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth thirtieth"
)

STREETS = _words(
    "street st road rd avenue ave lane ln drive dr court ct square sq place pl boulevard blvd way terrace close "
    "crescent gardens grove hill park row mews walk parade highway circle quay"
)

# Whoever is said to be somebody's relative, or has a title, has a name behind it.
TITLES = _words("mr mrs ms miss mx dr doctor prof professor sir dame nurse aunt auntie uncle grandma grandpa")
RELATIVES = _words(
    "wife husband partner son daughter mother mum mom father dad brother sister cousin nephew niece boss friend "
    "colleague neighbour neighbor girlfriend boyfriend fiance fiancee landlord therapist dentist teacher"
)

# With a capital letter these are no names. The first ones begin the sentences of CLINC150's training texts four times
# or more (Larson et al. 2019, CC BY 3.0); then function words, days, languages and what begins other sentences.
NO_NAMES = _words(
    "a abort about add after ai alert alter am any are assist at before book bring buy by bye calculate call can "
    "cancel change check clear confirm connect convert could count create credit decrease define delete dial did "
    "direct disconnect do does either erase explain find flip for forget from get give go good goodbye has have "
    "hello help hey hi how i if im in increase inform initiate is it just later let lets list locate look lower "
    "make maybe might move my name need next nice no not now oh on one order pair pay phone place play please "
    "provide pull purchase put quit raise read remember remind remove repeat report reserve reset restore return "
    "revert roll say schedule search see send set share should show since skip slow so someone sorry speak "
    "speed spell start stop submit suggest switch take talk tell text thank thanks that the there this time to "
    "tomorrow toss track transfer translate turn undo update use using volume wake walk was were what whats "
    "when where which whisper who why would write yeah yes you your "
    "and or but as of with without we he she they them his her its our their us me mine yours an be been being "
    "will shall must than then too also very more most less least into over under up down out off again here "
    "write draft compose summarise summarize describe answer ask compare choose recommend plan prepare correct "
    "today tonight yesterday monday tuesday wednesday thursday friday saturday sunday english german french "
    "spanish italian i'm i've i'd i'll ok okay dear best regards these those every each some all both because "
    "while during until between every many much how's what's who's it's that's there's let's don't can't"
)

# Of two letters, and no part of a plate or a paper.
SHORT_WORDS = frozenset(word for word in NO_NAMES if len(word) == 2)

# Behind "my wife" or "my name is" stands a name, or one of these.
NOT_BEHIND_A_CUE = NO_NAMES | _words(
    "said says told wants asked called calls lives works went goes going came comes got gave likes loves feels thinks "
    "might may had does did ate left sick ill"
)
