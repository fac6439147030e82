"""One dialogue: two channels of utterances, each at a known sample."""
import dataclasses

import numpy as np

from .speech import AGENT_VOICES, RATE_HZ, USER_VOICES

# A text is long enough that its speech lasts over a second, unless it is a backchannel.
QUESTIONS = (
    "Could you tell me how the new train to the coast is doing these days?",
    "I wonder what kind of bread would be easy for somebody who never baked before.",
    "Do you happen to know a quiet place where one can sit and read in the afternoon?",
    "What would you plant in a small garden that has very little sun?",
)
STORIES = (
    ("So yesterday I went down to the harbour with my sister", "and we found an old boat that was for sale",
     "which made us dream of a long journey"),
    ("Last winter our heating broke on the coldest evening", "so we all slept in the kitchen near the stove",
     "and in the morning the windows were white"),
    ("My neighbour keeps bees on the roof of his house", "he says they like the lime trees best",
     "and every summer he gives us a jar of honey"),
)
REPLIES = (
    "I would say it is well worth a visit, and the morning is the best time for it, because later in the day it "
    "becomes rather crowded and noisy, and the light is not as nice as before. Take some water and a good map along, "
    "since there are few signs, and do not forget that everything closes rather early in the evening there.",
    "The simplest way is to begin with something small and to see how it goes, since most things can be changed "
    "afterwards without much trouble, and you will learn a lot on the way. Many people start with far too much, and "
    "then they lose heart, which is a pity, because the second try is nearly always better than the first one.",
)
INTERRUPTIONS = (
    "Sorry to cut in, but what about the prices over there?",
    "Wait a moment please, I would rather hear about the winter.",
    "Hold on, can we talk about my other question first?",
)
ANSWERS = (
    "Of course, the prices are quite low at this time of the year.",
    "Sure, in winter it is much calmer and you will have it to yourself.",
    "Yes, let us go back to that one, it is a good question.",
)
BACKCHANNELS = ("Yeah.", "Right.", "Okay.")
ASIDES = ("Tom, could you please close the door behind you?", "No thanks, I do not need another coffee now.",
          "Put it on the table, I will have a look at it later.")


@dataclasses.dataclass
class Utterance:
    start: int  # in samples at RATE_HZ
    samples: np.ndarray
    text: str

    @property
    def end(self):
        return self.start + len(self.samples)

    @property
    def start_s(self):
        return self.start / RATE_HZ

    @property
    def end_s(self):
        return self.end / RATE_HZ

    def words(self):
        """[text, start, end]: the first start and the last end are exact, those between are shares
        of the letters."""
        texts = self.text.split()
        letters = np.cumsum([0] + [len(text) + 1 for text in texts]) / sum(len(t) + 1 for t in texts)
        times = self.start_s + letters * (self.end_s - self.start_s)
        times[-1] = self.end_s
        return [[text, float(times[i]), float(times[i + 1])] for i, text in enumerate(texts)]


class Channel(list):
    """Utterances in the order of time."""

    def say(self, samples, text, at_s):
        utterance = Utterance(round(at_s * RATE_HZ), samples, text)
        self.append(utterance)
        return utterance

    def render(self, duration_s):
        audio = np.zeros(round(duration_s * RATE_HZ))
        for utterance in self:
            part = utterance.samples[:max(0, len(audio) - utterance.start)]
            audio[utterance.start:utterance.start + len(part)] += part
        return audio

    def words(self):
        return [word for utterance in self for word in utterance.words()]


def cut(utterance, end_s):
    """The utterance broken off at a time, with the words that were begun by then."""
    end = round(end_s * RATE_HZ)
    if end >= utterance.end:
        return utterance
    begun = [word[0] for word in utterance.words() if word[1] < end_s - 0.05]
    return Utterance(utterance.start, utterance.samples[:end - utterance.start], " ".join(begun))


class Cast:
    """The voices of sample `index`."""

    def __init__(self, synthesisers, index):
        self._synthesisers = synthesisers
        self.index = index
        self._user = USER_VOICES[index % len(USER_VOICES)]
        self._agent = AGENT_VOICES[index % len(AGENT_VOICES)]
        self._other = USER_VOICES[(index + 1) % len(USER_VOICES)]

    def pick(self, texts):
        return texts[self.index % len(texts)]

    def user(self, text):
        return self._synthesisers.say(self._user, text)

    def agent(self, text):
        return self._synthesisers.say(self._agent, text)

    def other(self, text):
        return self._synthesisers.say(self._other, text)
