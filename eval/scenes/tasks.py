"""The tasks: what the user does, and when. Each returns a Scene without an agent."""
import dataclasses

from . import scene as s

OVERLAP_TASKS = ("user_interruption", "user_backchannel", "talking_to_other", "background_speech")


@dataclasses.dataclass
class Scene:
    task: str
    cast: s.Cast
    user: s.Channel
    duration_s: float
    event: tuple = None      # (start, end) of what the benchmark marks
    clean_user: s.Channel = None  # v1.5: without the overlap
    texts: dict = dataclasses.field(default_factory=dict)
    gaps: list = dataclasses.field(default_factory=list)  # backchannel task: where one fits


def pause(task, cast):
    """A turn with a pause of 1.2 s in it; the file ends with the turn, as in the benchmark."""
    first, second, _ = cast.pick(s.STORIES)
    user = s.Channel()
    a = user.say(cast.user(first), first, 0.8)
    b = user.say(cast.user(second), second, a.end_s + 1.2)
    return Scene(task, cast, user, b.end_s + 0.2, (a.end_s, b.start_s))


def turn(task, cast):
    """A question, then silence."""
    question = cast.pick(s.QUESTIONS)
    user = s.Channel()
    a = user.say(cast.user(question), question, 1.0)
    return Scene(task, cast, user, a.end_s + 9.0, (a.end_s, a.end_s + 0.4))


def backchannel(task, cast):
    """A story in three parts with 0.9 s between them."""
    user = s.Channel()
    at_s = 0.5
    gaps = []
    for part in cast.pick(s.STORIES):
        a = user.say(cast.user(part), part, at_s)
        gaps.append(a.end_s)
        at_s = a.end_s + 0.9
    return Scene(task, cast, user, gaps[-1] + 0.5, gaps=gaps[:-1])


def interruption(task, cast):
    """A question; the agent's answer is given 4 s, then the user cuts in."""
    question = cast.pick(s.QUESTIONS)
    text = cast.pick(s.INTERRUPTIONS)
    user = s.Channel()
    a = user.say(cast.user(question), question, 0.5)
    b = user.say(cast.user(text), text, a.end_s + 4.4)
    return Scene(task, cast, user, b.end_s + 7.0, (b.start_s, b.end_s),
                 texts={"context": question, "interrupt": text})


def overlap(task, cast):
    """The same for v1.5, where not everything that is said into the agent's speech is for it."""
    question = cast.pick(s.QUESTIONS)
    user = s.Channel()
    a = user.say(cast.user(question), question, 0.5)
    clean = s.Channel(user)
    at_s = a.end_s + 4.4
    if task == "user_interruption":
        text = cast.pick(s.INTERRUPTIONS)
        b = user.say(cast.user(text), text, at_s)
    elif task == "user_backchannel":
        text = cast.pick(s.BACKCHANNELS)
        b = user.say(cast.user(text), text, at_s)
    elif task == "talking_to_other":
        text = cast.pick(s.ASIDES)
        b = user.say(0.6 * cast.user(text), text, at_s)
    else:
        text = cast.pick(s.ASIDES)
        b = user.say(0.3 * cast.other(text), text, at_s)
    return Scene(task, cast, user, b.end_s + 7.0, (b.start_s, b.end_s), clean,
                 {"context": question, "interrupt": text})


V10 = {
    "synthetic_pause_handling": pause,
    "candor_pause_handling": pause,
    "candor_turn_taking": turn,
    "icc_backchannel": backchannel,
    "synthetic_user_interruption": interruption,
}
V15 = {task: overlap for task in OVERLAP_TASKS}
