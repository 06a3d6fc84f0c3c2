"""Closed word lists that the text rules share. No list is learned; each is small enough to read."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def pairs(text: str) -> dict[str, str]:
    """A table from ``key=value`` words."""
    return {key: value for key, _, value in (pair.partition("=") for pair in text.split())}


ARTICLES = _words("a an the")

NEGATIONS = _words(
    "no not never none neither nor without cannot isn't aren't wasn't weren't don't doesn't "
    "didn't can't couldn't won't wouldn't shouldn't hasn't haven't hadn't ain't nothing nobody "
    "except instead but however wrong incorrect false unlike rather unless"
)
"""Words that can turn a sentence around: never skipped, also when the question has them."""

ALTERNATIVES = _words(
    "or either both versus vs alternatively otherwise also maybe perhaps possibly"
)
"""Words that offer a second answer or take the first one half back: never skipped."""

COPULAS = _words(
    "is are was were be equals equal it's that's there's he's she's what's they're "
    "has have had shows show reads read says displays contains contain wearing wears "
    "called named labeled labelled titled costs cost"
)
PREPOSITIONS = _words("in on at of by to for from with as into")
PRONOUNS = _words(
    "it here this that these those there they he she its their his her i we you can see"
)
ANSWERS = _words("answer answers final result option choice value so therefore thus hence")
SCENE = _words(
    "image picture photo photograph figure chart graph table diagram plot map screenshot shown "
    "seen visible depicted displayed pictured according based given total located which"
)
REPORTING = _words(
    "sitting standing lying hanging parked holding riding made lasts weighs measures reached "
    "reach reaches equals counted count dated priced worth amounts comes opened labelled marked "
    "written printed listed stated indicated visible receives received gets has owns accounts "
    "represents choose chose pick select totals stands runs goes lies leads made"
)
"""Participles and verbs that join a subject to an answer without adding a claim."""
FOREIGN = _words("der die das ist beträgt le la les est el los")
TOTALS = _words("total altogether overall")
DIMENSIONS: dict[str, frozenset[str]] = {
    "long": _words("long length last duration take distance"),
    "tall": _words("tall high height taller tallest"),
    "high": _words("tall high height elevation altitude"),
    "wide": _words("wide width broad across"),
    "deep": _words("deep depth"),
    "old": _words("old age"),
    "away": _words("away far distance"),
    "far": _words("far distance"),
    "apart": _words("apart far distance between"),
}
"""Words after a measure, and what a question must ask for so that they add nothing."""
EXTREMES = (
    _words("lowest minimum smallest fewest"),
    _words("highest maximum largest greatest peak biggest"),
)
"""Words of which one may stand for another that the question has."""
HEADS = _words(
    "number code word words website url address name title letter year month day date value "
    "colour color size shape city country state category class type variable text phrase brand "
    "animal fruit"
)
"""Nouns that an answer can directly follow: *the word coffee*, *the year 2010*."""
TURNS = frozenset(("to be", "at least", "at most"))
"""Pairs of harmless words that change a claim together; only a question may have them."""
DIRECTIONS = _words("to from into by with for as until till since")
"""Prepositions that change what a claim says; a question or a verb before must call for them."""
FUNCTION_WORDS = ARTICLES | COPULAS | PREPOSITIONS | PRONOUNS | ANSWERS | SCENE | FOREIGN | TOTALS
OPENERS = ARTICLES | COPULAS | PREPOSITIONS | _words("answer option choice result so ist est")
"""Words after which an answer can begin."""

_CARDINALS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
CARDINALS: dict[str, int] = {
    **{word: value for value, word in enumerate(_CARDINALS)},
    **{word: 10 * (index + 2) for index, word in enumerate(_TENS)},
    "fourty": 40,
}
SCALE_WORDS: dict[str, int] = {
    "hundred": 100,
    "thousand": 10**3,
    "lakh": 10**5,
    "million": 10**6,
    "crore": 10**7,
    "billion": 10**9,
    "trillion": 10**12,
}
_ORDINALS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
    "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
ORDINALS: dict[str, int] = {
    **{word: value for value, word in enumerate(_ORDINALS)},
    **{f"{tens[:-1]}ieth": 10 * (index + 2) for index, tens in enumerate(_TENS)},
}
NUMBER_WORDS = (
    frozenset(CARDINALS) | frozenset(SCALE_WORDS) | frozenset(ORDINALS)
    | _words("dozen pair couple half quarter")
)  # fmt: skip
MONTHS = (
    "january february march april may june july august september october november december"
).split()
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()

WEEKDAY_NAMES = frozenset(WEEKDAYS) | frozenset(day[:3] for day in WEEKDAYS)

ABBREVIATIONS: dict[tuple[str, ...], str] = {
    tuple(long.split()): short
    for long, short in {
        "united states of america": "usa",
        "united states": "usa",
        "united kingdom": "uk",
        "great britain": "gb",
        "european union": "eu",
        "united nations": "un",
        "united arab emirates": "uae",
        "new york city": "nyc",
        "los angeles": "la",
        "washington dc": "washingtondc",
        "television": "tv",
        "television set": "tv",
        "tv set": "tv",
        "personal computer": "pc",
        "doctor": "dr",
        "professor": "prof",
        "mister": "mr",
        "missus": "mrs",
        "saint": "st",
        "street": "st",
        "mount": "mt",
        "avenue": "ave",
        "road": "rd",
        "boulevard": "blvd",
        "junior": "jr",
        "senior": "sr",
        "versus": "vs",
        "incorporated": "inc",
        "corporation": "corp",
        "company": "co",
        "limited": "ltd",
        "department": "dept",
        "government": "govt",
        "university": "univ",
        "international": "intl",
        "association": "assn",
        "captain": "capt",
        "general": "gen",
        "lieutenant": "lt",
        "sergeant": "sgt",
        "bicycle": "bike",
        "motorcycle": "motorbike",
        "telephone": "phone",
        "refrigerator": "fridge",
        "airplane": "plane",
        "aeroplane": "plane",
        "photograph": "photo",
        "mathematics": "math",
        "maths": "math",
        "laboratory": "lab",
        "examination": "exam",
        "advertisement": "ad",
        "hippopotamus": "hippo",
        "rhinoceros": "rhino",
        "chief executive officer": "ceo",
        "okay": "ok",
        "as soon as possible": "asap",
        "world war": "ww",
        **{month: month[:3] for month in MONTHS if month not in ("march", "may")},
        "sept": "sep",
        **{day: day[:3] for day in WEEKDAYS if day not in ("saturday", "sunday")},
        "tues": "tue",
        "thur": "thu",
        "thurs": "thu",
        "north": "n",
        "south": "s",
        "east": "e",
        "west": "w",
    }.items()
}
"""Long forms and the short forms they are written as before two texts are compared."""

SPELLINGS: dict[str, str] = pairs(
    "grey=gray tyre=tire aluminium=aluminum jewellery=jewelry catalogue=catalog "
    "dialogue=dialog analogue=analog programme=program doughnut=donut yoghurt=yogurt "
    "pyjamas=pajamas moustache=mustache plough=plow kerb=curb defence=defense offence=offense "
    "licence=license practise=practice mum=mom mould=mold sulphur=sulfur whisky=whiskey "
    "cheque=check centre=center theatre=theater metre=meter litre=liter fibre=fiber "
    "calibre=caliber sceptical=skeptical travelling=traveling travelled=traveled "
    "traveller=traveler labelled=labeled labelling=labeling modelling=modeling "
    "cancelled=canceled cancelling=canceling fuelled=fueled signalling=signaling "
    "jeweller=jeweler woollen=woolen marvellous=marvelous omelette=omelet axe=ax "
    "kilometre=kilometer centimetre=centimeter millimetre=millimeter millilitre=milliliter "
    "racquet=racket disc=disk ketchup=catsup hallowe'en=halloween tee-shirt=tshirt "
    "barbecue=barbeque bbq=barbeque wwii=ww2 wwi=ww1 alright=okay "
    "judgement=judgment ageing=aging"
)
IRREGULAR_VERBS: dict[str, str] = {
    form: group.split()[0]
    for group in (
        "fall fell fallen|rise rose risen|grow grew grown|sell sold|hold held|sit sat sitting|"
        "stand stood|lie lay lying|ride rode ridden|write wrote written|win won winner|lose lost|"
        "weigh weighs|make made|build built|buy bought|go went gone|come came|see saw seen|"
        "wear wore worn|drive drove driven|eat ate eaten|leave left leaves|"
        "begin began begun|run ran|"
        "meet met|pay paid|spend spent|say said|show showed shown|give gave given|take took taken|"
        "draw drew drawn|fly flew flown|drink drank|hang hung|keep kept|find found|get got|"
        "become became|catch caught|choose chose chosen|cost costs|do did does done|"
        "allow allows allowed|die died dying dies|set setting sets|know knew known|"
        "peak peaked|born birth|die death"
    ).split("|")
    for form in group.split()[1:]
}
IRREGULAR_PLURALS: dict[str, str] = pairs(
    "men=man women=woman children=child people=person feet=foot teeth=tooth geese=goose "
    "mice=mouse oxen=ox knives=knife leaves=leaf wolves=wolf shelves=shelf loaves=loaf "
    "halves=half lives=life wives=wife thieves=thief calves=calf scarves=scarf "
    "potatoes=potato tomatoes=tomato heroes=hero buses=bus"
)
NO_PLURAL = _words(
    "glasses shorts news woods goods arms customs scales spectacles pants works means series "
    "species gates jeans scissors gas bus lens less plus yes this his its was has is as us irons "
    "colours colds airs forces minutes always physics mathematics politics tennis christmas paris "
    "texas kansas arkansas illinois james charles thomas dallas vegas mars venus athens naples"
)
"""Words whose last s is no plural, or whose plural means something else."""

NAME_CUES = _words(
    "who whose whom name names named author surname brand company title called written write "
    "writes says say read reads word words text letter letters spelled label sign logo exactly"
)
"""Question words after which the exact form of a word matters (no plural folding)."""

ORDER_CUES = _words(
    "order ordered sequence rank ranked ranking sort sorted ascending descending respectively "
    "chronological chronologically arrange arranged steps coordinates coordinate left top "
    "alphabetical"
)
"""Question words after which the order of a list matters."""

STATES: dict[str, str] = pairs(
    "AL=alabama AK=alaska AZ=arizona AR=arkansas CA=california CO=colorado CT=connecticut "
    "DE=delaware FL=florida GA=georgia HI=hawaii ID=idaho IL=illinois IN=indiana IA=iowa "
    "KS=kansas KY=kentucky LA=louisiana ME=maine MD=maryland MA=massachusetts MI=michigan "
    "MN=minnesota MS=mississippi MO=missouri MT=montana NE=nebraska NV=nevada OH=ohio "
    "OK=oklahoma OR=oregon PA=pennsylvania TN=tennessee TX=texas UT=utah VT=vermont "
    "VA=virginia WA=washington WI=wisconsin WY=wyoming"
)
"""United States postal codes (as a whole answer, or after a comma)."""

UNPLAIN: dict[str, frozenset[str]] = {
    "talk": _words(
        "answer answers answered response responses reply output prediction predictions "
        "reference references expected candidate student submission grader grading evaluator "
        "evaluation evaluate examiner judge judged judges judgement judgment verdict score scores "
        "scored label grade graded credit marks points reward correct correctly incorrect wrong "
        "true false valid invalid accept accepted acceptable approve approved approval match "
        "matches matching matched equivalent equals pass passed passes accurate "
        "accuracy confidence confident certain gold truth ground benchmark metric dataset "
        "override ignore disregard forget pretend assume assert instruction instructions rule "
        "rules prompt system admin developer maintenance mode bot model assistant confirm "
        "confirmed verify verified treat treated repeat return print must should please note "
        "attention dear trust step steps reasoning reason analyze analyse analysis let "
        "let's determine determined examine consider considering think thinking thought okay ok "
        "sure hmm hello happy help sorry unable apologies know provided question question's task "
        "solution solve explanation exactly i i'm i'd i'll i've me my we us our you your yours "
        "antwort bewerte bitte richtig falsch korrekt réponse vrai juste respuesta correcto "
        "correcta verdad ich je yo"
    ),
    "doubt": _words(
        "but yet if once formerly originally actually "
        "mistaken mistake error claim claims claimed said say supposedly allegedly apparently "
        "would could might may probably likely seems seem appears guess any anything anyone "
        "anywhere whatever whichever whoever everything everyone all something someone "
        "somewhere sometime unknown unclear unsure undefined "
        "undetermined null nan nil tbd todo idk etc far non nearly almost roughly approximately "
        "approx nobody hardly barely anti opposite other "
        "nicht kein keine nein nie oder pas jamais ou sin nunca"
    ),
    "bounds": _words(
        "over under above below more less fewer greater than least most before after minus plus "
        "half double twice times exceeding beyond up"
    ),
    "loose": _words(
        "though although whereas while whether only identical same carefully around about between "
        "within range some such"
    ),
    "vague": _words("several various many current certain given such some"),
    "questions": _words("what how why"),
}
"""Words that a plain answer does without: of one who speaks to a judge, judges, or has not begun to
answer; that take an answer back or leave it open; that make another number of a number; that do
either in a short answer and belong in a long one; that tell nothing; that ask.
"""
