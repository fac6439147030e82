"""What is said: the agent's roles with a closed repertoire, and users' turns from a grammar.

The agent's texts hold no digits and no abbreviations, so that every word of the text is one word of the
synthesiser. Everything that is drawn comes from the given random.Random.
"""

NAMES = ("Anna", "Mina", "Tomas", "Joan", "Peter", "Laura", "David", "Emma", "Oscar", "Nora")
FIRST = ("Harbor", "Maple", "Silver", "Sunrise", "River", "Garden", "Daybreak", "Lantern")

# role: (last word of the company's name, kind in the prompt, what the agent may say)
SERVICES = {
    "bank": ("Bank", "bank", (
        "You can open an account online or at any branch.",
        "Your new card will arrive within five working days.",
        "There is no fee if you keep two hundred dollars in the account.",
        "I can see the payment, and it will be in your account tomorrow.",
        "For your safety, please never tell anyone your secret number.",
        "Our branch is open from nine until five.",
        "A small loan takes about one week.",
        "I will block the old card right away.",
        "Would you like a letter about that, or an email?",
        "The interest for savings is three percent this year.")),
    "clinic": ("Clinic", "medical clinic", (
        "The doctor can see you on Monday morning at ten.",
        "Please bring your insurance card to the visit.",
        "If the pain gets worse, please come in today.",
        "Drink a lot of water and rest for two days.",
        "The nurse will call you with the results.",
        "We can move your visit to next week.",
        "Please come ten minutes early to fill in the form.",
        "Do not eat anything before the blood test.",
        "Is this your first visit to our clinic?",
        "A cold usually gets better within a week.")),
    "restaurant": ("Kitchen", "restaurant", (
        "I have a table for two at seven in the evening.",
        "The soup of the day is tomato with fresh bread.",
        "All our pasta is made by hand every morning.",
        "We have four dishes without any meat.",
        "Would you like to sit inside or in the garden?",
        "The fish comes with rice and green beans.",
        "For dessert I would take the apple cake.",
        "Your table is booked, and we look forward to seeing you.",
        "The kitchen closes at ten tonight.",
        "Please tell me if anyone has an allergy.")),
    "hotel": ("Inn", "seaside hotel", (
        "A double room is one hundred dollars a night with breakfast.",
        "You can check in from three in the afternoon.",
        "Breakfast is served from seven until eleven.",
        "All our rooms have a view of the sea.",
        "The pool on the roof is open all day.",
        "I can keep your bags until the evening.",
        "A taxi to the station takes fifteen minutes.",
        "We have one quiet room left for that night.",
        "How many nights would you like to stay?",
        "Small dogs are welcome in our hotel.")),
    "library": ("Library", "public library", (
        "You can keep a book for three weeks.",
        "Your atlas has arrived and is waiting at the desk.",
        "The reading evening is on Wednesday at seven.",
        "You can extend the book twice by phone.",
        "Children may borrow ten books at a time.",
        "Late books cost twenty cents a day.",
        "The history books are on the second floor.",
        "A library card is free for everyone in town.",
        "Which book are you looking for?",
        "We close at six, and at noon on Saturday.")),
    "pharmacy": ("Pharmacy", "pharmacy", (
        "Take one tablet after every meal.",
        "Your medicine will be ready in twenty minutes.",
        "You need a note from your doctor for that.",
        "This cream helps against dry skin.",
        "Please do not take more than four a day.",
        "We have the same medicine for half the price.",
        "Keep the bottle in a cool and dark place.",
        "We can bring it to your home this afternoon.",
        "Do you take any other medicine?",
        "The cough drops are made with honey and lemon.")),
    "telecom": ("Telecom", "phone and internet company", (
        "Please turn the box off and wait for one minute.",
        "The green light should come on now.",
        "I can send someone to your home on Friday.",
        "Your plan has ten gigabytes every month.",
        "The network in your area will be back tonight.",
        "You can keep your old number.",
        "The faster plan is thirty dollars a month.",
        "Let me test your line from here.",
        "Which light on the box is red?",
        "Your last bill was twenty five dollars.")),
    "bakery": ("Bakery", "bakery", (
        "The dark bread comes out of the oven at eight.",
        "A dozen rolls is six dollars.",
        "We can write any name on the cake.",
        "Our chocolate cake is made with real butter.",
        "I can keep two loaves for you until noon.",
        "We bake without nuts on Tuesday.",
        "The apple pie is still warm.",
        "A birthday cake takes two days.",
        "How many people will eat the cake?",
        "On Sunday we are open until one.")),
    "appliances": ("Appliances", "shop for kitchen machines", (
        "The new oven can be at your home on Thursday.",
        "Please open the door and clean the filter.",
        "The machine has a warranty of two years.",
        "We will take the old fridge away for free.",
        "This model uses half the water of the old one.",
        "Does the machine make a loud noise?",
        "A new part costs forty dollars.",
        "Press the start button for five seconds.",
        "You can bring it back within thirty days.",
        "The quiet one is the best for a small kitchen.")),
}
TALKS = {
    "teacher": (
        ("You are a wise and friendly teacher. Answer questions or provide advice in a clear and engaging way.",
         "You are a friendly teacher. Explain things in a clear way."), (
            "That is a very good question.",
            "Let us look at it one step at a time.",
            "Plants use the light of the sun to make their food.",
            "The moon pulls the water, and that makes the tides.",
            "Try to learn ten new words every day.",
            "A short walk helps you to think.",
            "Water turns into ice when it gets very cold.",
            "The best way to learn is to teach someone else.",
            "Start with the easy part, and then do the hard part.",
            "History is the story of people like you and me.",
            "What do you think will happen next?",
            "Mistakes are fine, because we learn from them.")),
    "conversation": (
        ("You enjoy having a good conversation.",
         "You are friendly and like to talk."), (
            "That sounds really nice.",
            "I would love to hear more about that.",
            "It reminds me of a summer by the lake.",
            "My weekend was quiet, I read a good book.",
            "How did you feel about it?",
            "I like music, and I sing when I am alone.",
            "We had rain all day, so I stayed at home.",
            "My sister has a small dog that loves the snow.",
            "What are you going to do tomorrow?",
            "I think that good friends make life easy.",
            "Yes, I know what you mean.",
            "I was in the garden all morning.")),
    "travel": (
        ("You enjoy having a good conversation. Have a lively conversation about travel.",
         "You love to travel. Have a friendly conversation about travel."), (
            "The night train to the coast is my favorite.",
            "In spring the mountains are full of flowers.",
            "I always take a map and a good coat.",
            "The old town is best in the early morning.",
            "Have you ever been on a ship?",
            "I walked along the river for three days.",
            "The people in the village gave us tea.",
            "Next year I want to see the north.",
            "A small bag makes every trip better.",
            "From the tower you can see the whole island.")),
    "cooking": (
        ("You enjoy having a good conversation. Have a warm conversation about cooking.",
         "You love to cook. Have a friendly conversation about cooking."), (
            "I always start with onions and a little butter.",
            "Fresh herbs make a big difference.",
            "Let the dough rest for one hour.",
            "My grandmother made the best potato soup.",
            "Do you like your food hot?",
            "A pinch of salt makes chocolate taste better.",
            "Rice needs twice as much water.",
            "On Sunday I bake bread for the whole week.",
            "The secret is to cook it slowly.",
            "I never throw old bread away.")),
    "astronomy": (
        ("You enjoy having a good conversation. Have a curious conversation about astronomy.",
         "You love the night sky. Have a friendly conversation about astronomy."), (
            "Saturn has rings of ice and stone.",
            "The light of that star is a thousand years old.",
            "You can see four moons of Jupiter with a small telescope.",
            "A day on Venus is longer than its year.",
            "The best nights are cold and clear.",
            "Our galaxy has more stars than you can count.",
            "Have you ever seen a comet?",
            "Mars looks red because of rust.",
            "The sun is a star like many others.",
            "I watched the moon until it was late.")),
}
OPENERS = ("Of course.", "Certainly.", "I understand.", "Let me see.", "Well, yes.", "Oh, I see what you mean.")
BACKCHANNELS = ("I see.", "Right.", "Okay.", "Yes.", "Oh really?")
VOICE_SAMPLES = (
    "The boat went down the river, and nobody on the shore said a word.",
    "Every morning she opens the window and looks at the garden.",
    "Two friends sat at the table and talked about the old days.")
FACTS = ("We are open every day.", "Parking is free.", "The manager is away this week.", "Prices are fixed.",
         "New customers get a small present.", "Payment is by card.", "There is a sale in June.",
         "Calls may be recorded.", "The office moved last year.", "Delivery takes three days.")

# Names that the agent cannot say: it then does not introduce itself.
STRANGE_NAMES = ("Feld", "Avila", "Bertram", "Sofia", "Hollis", "Kwame", "Ines", "Yuki")
STRANGE_FIRST = ("Quarry Hill", "Northgate", "Blue Fern", "Copper", "Old Mill", "Station Road")

ROLES = (*SERVICES, *TALKS)
# What comes before a name of the text prompt. Each word of a name is a clip of its own: within a longer one the model would
# know it from the sound of the words before it, and not look at its prompt.
CALLING, NAMED = "Thank you for calling", "My name is"
SPOKEN_NAMES = {*FIRST, *(f"{last}." for last, _, _ in SERVICES.values()), *(f"{name}." for name in NAMES)}


def company(role, first):
    return f"{first} {SERVICES[role][0]}"


def introduction(role, first, name):
    return [CALLING, first, f"{SERVICES[role][0]}.", NAMED, f"{name}."]


def agent_sentences():
    """Everything the agent may say, once each, in a fixed order."""
    texts = [*OPENERS, *BACKCHANNELS, *VOICE_SAMPLES, CALLING, NAMED, *sorted(SPOKEN_NAMES)]
    for _, _, replies in SERVICES.values():
        texts += replies
    for _, replies in TALKS.values():
        texts += replies
    return list(dict.fromkeys(texts))


class Agent:
    """One dialogue's role: its prompt, and what it says next."""

    def __init__(self, random, role=None):
        self.random, self.role = random, role or random.choice(ROLES)
        strange = random.random() < 0.1
        self.first = random.choice(STRANGE_FIRST if strange else FIRST)
        self.name = random.choice(STRANGE_NAMES if strange else NAMES)
        self.service = self.role in SERVICES
        replies = SERVICES[self.role][2] if self.service else TALKS[self.role][1]
        self.left = random.sample(replies, len(replies))
        self.introduced = strange or not self.service

    def prompt(self):
        if not self.service:
            return self.random.choice(TALKS[self.role][0])
        where = company(self.role, self.first)
        text = f"You work for {where}"
        if self.random.random() < 0.7:
            text += f" which is a {SERVICES[self.role][1]}"
        text += f" and your name is {self.name}."
        facts = self.random.random()
        if facts < 0.4:
            text += " Information: " + " ".join(self.random.sample(FACTS, self.random.randint(1, 3)))
        elif facts < 0.6:
            user = User(self.random)
            text += " Information: " + " ".join(user.sentence() for _ in range(self.random.randint(1, 4)))
        return text

    def reply(self, sentences):
        """That many sentences; the first answer of a service begins with its name."""
        said = []
        if not self.introduced:
            said += introduction(self.role, self.first, self.name)
            self.introduced = True
        elif self.random.random() < 0.4:
            said.append(self.random.choice(OPENERS))
        for _ in range(sentences):
            if not self.left:
                replies = SERVICES[self.role][2] if self.service else TALKS[self.role][1]
                self.left = self.random.sample(replies, len(replies))
            said.append(self.left.pop())
        return said


def prompts():
    """Text prompts with every word that they may hold, strange names aside."""
    for role in ROLES:
        if role in TALKS:
            yield from TALKS[role][0]
        else:
            yield f"You work for {company(role, FIRST[0])} which is a {SERVICES[role][1]} and your name is {NAMES[0]}."
    yield f"Information: {' '.join(FACTS)}"


# ---- users --------------------------------------------------------------------

GRAMMARS = {
    "train": {
        "thing": ("the blue jacket", "a new key", "my old phone", "the last bill", "a cup of coffee", "the big table",
                  "two tickets", "the front door", "a birthday present", "the green bottle", "some warm soup",
                  "the second letter", "a good dentist", "your best offer", "the morning train", "my account",
                  "a room with a bath", "the red book", "an easy recipe", "the winter sale"),
        "person": ("my brother", "the neighbour", "our doctor", "a friend of mine", "the woman at the desk",
                   "my daughter", "the driver", "someone at work", "the old man", "my boss"),
        "time": ("yesterday", "next week", "in the morning", "on Friday", "after lunch", "last summer",
                 "at six o'clock", "this weekend", "before Christmas", "every evening"),
        "place": ("near the station", "in the city", "at the market", "by the sea", "in my kitchen", "on the bus",
                  "at school", "behind the church", "in the north", "at the airport"),
        "action": ("find {thing}", "bring back {thing}", "pay for {thing}", "wait for {person}", "call {person}",
                   "change {thing}", "ask about {thing}", "talk to {person}", "buy {thing}", "learn about {thing}"),
        "clause": ("I wanted to {action}", "{person} told me to {action}", "we were {place}", "it was very cold {place}",
                   "{person} could not {action}", "I have never seen {thing}", "we stayed {place} for hours",
                   "{person} lost {thing}", "nobody could {action}", "I was looking for {thing}"),
        "joint": ("and then", "because", "but", "so", "and", "which is why", "although"),
        "question": ("Can you help me to {action}?", "Where can I {action} {time}?", "What should I do with {thing}?",
                     "Do you know when {person} will {action}?", "How much is {thing}?", "Is it possible to {action} {place}?",
                     "Could you tell me more about {thing}?", "Why does it take so long to {action}?",
                     "Who can {action} {time}?", "What do you think about {thing}?"),
        "statement": ("I would like to {action} {time}.", "I am calling about {thing}.", "{person} needs {thing} {time}.",
                      "Please tell me about {thing}.", "I think we met {place} {time}.", "I have a question about {thing}.",
                      "{time} I was {place}.", "My plan is to {action}."),
        "interruption": ("Sorry, {question}", "Wait, {statement}", "Hold on, {question}", "No, {statement}",
                         "One moment, {question}", "Stop please, {statement}"),
        "backchannel": ("Uh huh.", "Okay.", "Yes.", "Right.", "Sure."),
    },
    # Nothing of it was trained on.
    "held_out": {
        "thing": ("the wooden box", "a second ticket", "their garden", "this strange sound", "an honest answer",
                  "the northern road", "a lighter suitcase", "the concert", "my parcel", "that yellow house"),
        "person": ("the captain", "his aunt", "a young teacher", "the twins", "my landlord"),
        "time": ("tonight", "in late autumn", "around midday", "two years ago", "on holidays"),
        "place": ("across the bridge", "under the roof", "outside the museum", "at the campsite", "along the canal"),
        "action": ("repair {thing}", "describe {thing}", "return to {person}", "compare prices", "reach {person}"),
        "clause": ("the weather had turned", "{person} wrote a long message", "I kept thinking of {thing}",
                   "they were singing {place}", "our plans changed {time}", "{person} simply forgot {thing}"),
        "joint": ("while", "until", "since", "however", "yet"),
        "question": ("Would somebody {action} {time}?", "Which way leads to {thing}?", "Have they finished {thing} already?",
                     "May I {action} {place}?", "When did {person} {action}?"),
        "statement": ("It seems that {person} should {action}.", "We hope to {action} {time}.",
                      "Nothing works {place} anymore.", "There must be a mistake with {thing}."),
        "interruption": ("Excuse me, {question}", "Actually, {statement}", "Listen, {question}", "Hang on, {statement}"),
        "backchannel": ("Indeed.", "I know.", "Fine."),
    },
}


class User:
    """Draws turns. A turn is a list of pieces, between which the user pauses."""

    def __init__(self, random, grammar="train"):
        self.random, self.grammar = random, GRAMMARS[grammar]

    def expand(self, symbol):
        text = self.random.choice(self.grammar[symbol])
        while "{" in text:
            begin, end = text.index("{"), text.index("}")
            inner = self.expand(text[begin + 1:end])
            if begin and text[begin + 1:end] in ("question", "statement"):
                inner = inner[0].lower() + inner[1:]
            text = text[:begin] + inner + text[end + 1:]
        return text[0].upper() + text[1:] if symbol in ("question", "statement", "interruption") else text

    def sentence(self):
        return self.expand(self.random.choice(("question", "statement")))

    def story(self, clauses):
        """Pieces of one long sentence: each but the last goes on."""
        pieces = [self.expand("clause")]
        pieces += [f"{self.expand('joint')} {self.expand('clause')}" for _ in range(clauses - 1)]
        pieces[0] = pieces[0][0].upper() + pieces[0][1:]
        return pieces[:-1] + [pieces[-1] + "."]

    def split(self, text):
        """A sentence in two pieces, at a space in its middle."""
        words = text.split()
        if len(words) < 5:
            return [text]
        at = self.random.randint(2, len(words) - 2)
        return [" ".join(words[:at]), " ".join(words[at:])]
