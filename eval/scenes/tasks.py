"""The scenes: what the user does in each task, and when. They know nothing of agents."""
import dataclasses

from .scene import GRID_S, Channel, Utterance, draw, on_grid
from .speech import OTHER_VOICE, USER_VOICES

# No comma inside a text: an utterance has no pause in it.
QUESTIONS = ("Could you tell me about trains to the sea?", "What bread is easy for a beginner?",
             "Do you know a quiet place to read?", "Which flowers grow without much sun?")
STORIES = (("yesterday I went to the old harbour", "then we found a wooden boat for sale",
            "which made us dream of a journey"),
           ("last winter our heating broke one evening", "so we all slept in the small room",
            "and at dawn it was all white"),
           ("my neighbour keeps bees on the roof", "he says they like the lime trees",
            "every summer he gives us honey"))
INTERRUPTIONS = ("Sorry but how much money would that be?", "Wait I am asking about the winter.",
                 "Hold on I have another question.")
BACKCHANNELS = ("I see.", "I know.", "Oh really?")
ASIDES = ("Tom please close the door behind you.", "No thanks no more coffee for me.",
          "Leave it on the table over there.")
BACKGROUND = ("the next train leaves from the other side", "and now the weather for the weekend",
              "two tickets for the late show please")

RATES_HZ = (16000, 48000, 24000, 44100)
LEAD_S = 1.6          # room for a greeting
USER_PEAK_DB = -6.0
ASIDE_PEAK_DB = -10.0
BACKGROUND_PEAK_DB = -16.0
TURN_TAIL_S = 4.9     # room for an answer after 3.3 s, and more than the response window of 3 s
OVERLAP_TAIL_S = 1.6  # room for the agent to finish

INTERRUPTION, BACKCHANNEL = "synthetic_user_interruption", "icc_backchannel"
V15_INTERRUPTION = "user_interruption"
V15 = (V15_INTERRUPTION, "user_backchannel", "talking_to_other", "background_speech")


@dataclasses.dataclass
class Scene:
    task: str
    index: int                      # place in the task, from 0
    key: str                        # what everything that is drawn depends on
    user: Channel                   # file input.wav, first channel
    stereo: bool = False            # the second channel then holds somebody else
    duration_s: float = 0.0         # of every file
    # The benchmark's marks, as (start_s, end_s): pauses, the end of the turn and the time by which
    # an answer is due, or what is said into the agent's speech.
    events: list = dataclasses.field(default_factory=list)
    gaps: list = dataclasses.field(default_factory=list)  # where a backchannel fits
    context: str = ""               # what the user asked first
    interrupt: str = ""             # what is said into the agent's answer

    @property
    def sample_id(self):
        return str(self.index + 1)

    @property
    def clean_user(self):
        """The user's channel without what the event marks."""
        return Channel(self.user.rate_hz,
                       [said for said in self.user if said.start_s < self.events[0][0]])


class Author:
    """Writes one scene."""

    def __init__(self, synthesisers, task, index, seed):
        self.synthesisers, self.index = synthesisers, index
        place = list(TASKS).index(task)
        shift = draw(f"{seed}/{task}/cast", 12) if seed else place
        self.voice = USER_VOICES[(index + shift) % len(USER_VOICES)]
        self.text_index = index + shift
        key = f"{seed}/{task}/{index}"
        self.scene = Scene(task, index, key, Channel(RATES_HZ[(2 * index + place) % len(RATES_HZ)]))
        self.now_s = LEAD_S

    def pick(self, texts):
        return texts[self.text_index % len(texts)]

    def between(self, name, low_s, high_s):
        steps = round((high_s - low_s) / GRID_S) + 1
        return low_s + draw(f"{self.scene.key}/{name}", steps) * GRID_S

    def wait(self, seconds):
        # The end of an utterance lies between the points of the grid.
        self.now_s = on_grid(self.now_s + seconds + GRID_S / 2)

    def say(self, text, voice=None, peak_db=USER_PEAK_DB, speaker="user"):
        user = self.scene.user
        voice = voice or self.voice
        pcm = self.synthesisers.render(voice, text, user.rate_hz, peak_db)
        said = user.add(Utterance(round(self.now_s * user.rate_hz), pcm, user.rate_hz, text, voice,
                                  peak_db, speaker))
        self.now_s = said.end_s
        return said

    def finish(self, tail_s):
        self.wait(tail_s)
        self.scene.duration_s = self.now_s
        return self.scene


def pause(author, parts):
    """A turn with pauses; the file ends with it, so that whatever the agent says is too early."""
    before = None
    for place, text in enumerate(author.pick(STORIES)[:parts]):
        if before:
            author.wait(author.between(f"pause{place}", 0.8, 1.2))
        said = author.say(text)
        if before:
            author.scene.events.append((before.end_s, said.start_s))
        before = said
    author.scene.stereo = parts > 2 and author.index % 2 == 0
    return author.finish(0.2)


def turn(author):
    """A question, then silence for as long as an answer takes."""
    said = author.say(author.pick(QUESTIONS))
    author.scene.events.append((said.end_s, said.end_s + 0.4))
    return author.finish(TURN_TAIL_S)


def backchannel(author):
    """A story in three parts; an "uh-huh" fits between them."""
    for place, text in enumerate(author.pick(STORIES)):
        if place:
            author.wait(author.between(f"gap{place}", 0.9, 1.1))
        said = author.say(text)
        if place < 2:
            author.scene.gaps.append(said.end_s)
    return author.finish(0.3)


def overlap(author, text, tail_s, **how):
    """A question; something is said while the agent answers it."""
    scene = author.scene
    scene.context, scene.interrupt = author.pick(QUESTIONS), text
    author.say(scene.context)
    author.wait(author.between("answer", 1.6, 1.9))
    said = author.say(text, **how)
    scene.events.append((said.start_s, said.end_s))
    return author.finish(tail_s)


def interruption(author):
    return overlap(author, author.pick(INTERRUPTIONS), TURN_TAIL_S)


TASKS = {
    "synthetic_pause_handling": lambda author: pause(author, 2),
    "candor_pause_handling": lambda author: pause(author, 3),
    "candor_turn_taking": turn,
    BACKCHANNEL: backchannel,
    INTERRUPTION: interruption,
    V15_INTERRUPTION: interruption,
    "user_backchannel":
        lambda author: overlap(author, author.pick(BACKCHANNELS), OVERLAP_TAIL_S),
    "talking_to_other":
        lambda author: overlap(author, author.pick(ASIDES), OVERLAP_TAIL_S, peak_db=ASIDE_PEAK_DB),
    "background_speech":
        lambda author: overlap(author, author.pick(BACKGROUND), OVERLAP_TAIL_S, voice=OTHER_VOICE,
                               peak_db=BACKGROUND_PEAK_DB, speaker="other"),
}


def make(synthesisers, task, index, seed):
    return TASKS[task](Author(synthesisers, task, index, seed))
