"""The agents: what each says in a scene. What that deserves is in definitions.py."""
from .scene import AGENT_RATE_HZ, Channel, Utterance
from .speech import AGENT_VOICE
from .tasks import BACKCHANNEL, INTERRUPTION, V15, V15_INTERRUPTION

REPLY = ("I would say it is well worth a visit", "because later in the day it is rather noisy",
         "It is much cheaper in the morning", "In the winter it is much calmer")
ANSWERS = ("It is much cheaper in the morning.", "In the winter it is much calmer.",
           "Let us go back to that one now.")
BACKCHANNELS = ("Okay.", "Oh yes.", "Go on.")
GREETING = "Hello I am here to help."

AGENT_PEAK_DB = -8.0
ANSWER_S = 0.4               # from the end of the user's turn to the agent's first sample
INTERRUPTION_ANSWER_S = 0.5  # the same after an interruption
STOP_S = 0.6                 # from the first sample of an interruption to the agent's last
LATE_S = (2.7, 3.3)          # odd and even samples: on either side of the response window of 3 s
ECHO_S = 0.24
ECHO_DB = -6.0
BACKCHANNEL_S = 0.2          # into the gap
LATE_BACKCHANNEL_S = 1.2     # late, in the midst of the user's next words
SEAM_S = 0.04                # between sentences of one speech: no detector ends a segment there
BEGIN_S = 0.1                # of the first sound of who speaks first
THROUGH_S = 1.4              # how long the one who does not yield goes on after the interruption
RESUMED_S = 0.9              # the same after what was no interruption


class Speaker:
    """The agent's channel in one scene."""

    def __init__(self, synthesisers, scene):
        self.synthesisers, self.scene = synthesisers, scene
        self.channel = Channel(AGENT_RATE_HZ)

    def _utterance(self, text, at_s):
        pcm = self.synthesisers.render(AGENT_VOICE, text, AGENT_RATE_HZ, AGENT_PEAK_DB)
        return Utterance(round(at_s * AGENT_RATE_HZ), pcm, AGENT_RATE_HZ, text, AGENT_VOICE,
                         AGENT_PEAK_DB, "agent")

    def say(self, text, at_s):
        return self.channel.add(self._utterance(text, at_s))

    def pick(self, texts, place=0):
        return texts[(self.scene.index + place) % len(texts)]

    def talk(self, from_s, until_s):
        """Sentence upon sentence, broken off at `until_s`."""
        end = round(until_s * AGENT_RATE_HZ)
        place, at_s = 0, from_s
        while True:
            said = self._utterance(REPLY[place % len(REPLY)], at_s).until(end)
            if said is None:
                return
            self.channel.add(said)
            place, at_s = place + 1, said.end_s + SEAM_S


def question_end_s(scene):
    return scene.clean_user.utterances[-1].end_s


def well_behaved(speaker, clean, answer_s=ANSWER_S, interruption_answer_s=INTERRUPTION_ANSWER_S,
                 backchannel_s=BACKCHANNEL_S, yields=True):
    """Leaves pauses alone, answers turns, encourages, yields to interruptions and to nothing else."""
    scene = speaker.scene
    if scene.task == "candor_turn_taking":
        speaker.say(speaker.pick(ANSWERS), scene.events[0][0] + answer_s)
    elif scene.task == BACKCHANNEL:
        for place, gap_s in enumerate(scene.gaps):
            speaker.say(speaker.pick(BACKCHANNELS, place), gap_s + backchannel_s)
    elif scene.task in (INTERRUPTION, *V15):
        start_s, end_s = scene.events[0]
        from_s = question_end_s(scene) + ANSWER_S
        if clean or scene.task not in (INTERRUPTION, V15_INTERRUPTION):
            speaker.talk(from_s, end_s + RESUMED_S)
        elif not yields:
            speaker.talk(from_s, end_s + THROUGH_S)
        else:
            speaker.talk(from_s, start_s + STOP_S)
            speaker.say(speaker.pick(ANSWERS), end_s + interruption_answer_s)


def oracle(speaker, clean):
    """Does what a good listener does."""
    well_behaved(speaker, clean)


def silent(_speaker, _clean):
    """Never says anything."""


def always_talking(speaker, _clean):
    """Talks from the first moment to the last and never listens."""
    speaker.talk(BEGIN_S, speaker.scene.duration_s)


def echo(speaker, clean):
    """Repeats the user's channel 240 ms later, 6 dB lower."""
    scene = speaker.scene
    end = round(scene.duration_s * AGENT_RATE_HZ)
    for said in scene.clean_user if clean else scene.user:
        level_db = ECHO_DB + said.peak_db
        pcm = speaker.synthesisers.render(said.voice, said.text, AGENT_RATE_HZ, level_db)
        start = round((said.start_s + ECHO_S) * AGENT_RATE_HZ)
        heard = Utterance(start, pcm, AGENT_RATE_HZ, said.text, said.voice, level_db, "agent").until(end)
        if heard is not None:
            speaker.channel.add(heard)


def late(speaker, clean):
    """The oracle, but it answers about 3 s after the turn, and encourages a second too late."""
    late_s = speaker.pick(LATE_S)
    well_behaved(speaker, clean, answer_s=late_s, interruption_answer_s=late_s,
                 backchannel_s=LATE_BACKCHANNEL_S)


def greeting(speaker, clean):
    """Greets before the user has said anything, then does as the oracle."""
    speaker.say(GREETING, BEGIN_S)
    well_behaved(speaker, clean)


def talk_through(speaker, clean):
    """The oracle, but it never yields to an interruption."""
    well_behaved(speaker, clean, yields=False)


AGENTS = {"oracle": oracle, "silent": silent, "always_talking": always_talking, "echo": echo,
          "late": late, "greeting": greeting, "talk_through": talk_through}


def perform(synthesisers, scene, name, clean=False):
    """The agent's channel; `clean`: where nobody speaks into its answer (v1.5)."""
    speaker = Speaker(synthesisers, scene)
    AGENTS[name](speaker, clean)
    return speaker.channel
