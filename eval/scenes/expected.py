"""expected.json: what each sample and each task of an agent must score.

Rows of {"task", "sample", "scorer", "metric", "value" or "status", "tolerance"}; without "sample" it
is the mean over the task, with "n", the samples that have a value. "tolerance" says how far a scorer
that detects speech may be from it: 1e-9 where the value comes from words alone, and null where the
value is that of true segments and a detector may well cut them elsewhere.
"""
import math

from . import definitions as d
from .scene import AGENT_RATE_HZ
from .tasks import BACKCHANNEL, INTERRUPTION, V15, V15_INTERRUPTION

WORDS = 1e-9       # arithmetic on given words
DETECTED_S = 0.2   # a latency: an offset and an onset, by any sensible detector
INTERVAL_S = 0.25  # the length of an overlap, which has two of them
# Whether a detector finds these agents' segments one by one: their utterances stand alone.
CLEAR_SEGMENTS = ("oracle", "silent", "late", "talk_through")

MARKS = {"oracle": 5, "late": 5, "greeting": 5, "talk_through": 0, "always_talking": 0}
LABELS = ("C_RESPOND", "C_RESUME", "C_UNCERTAIN_HANDLING", "C_UNKNOWN")
METRIC_OF_LABEL = dict(zip(LABELS, ("behaviour_respond", "behaviour_resume", "behaviour_uncertain",
                                    "behaviour_unknown")))


def mark(agent, words):
    """rating.json: what a judge gives the scripted answer; None where there is none to judge."""
    return MARKS.get(agent) if d.takeover(words) else None


def label(agent, task):
    """content_tag.json: what the agent does about the overlap."""
    if agent in ("silent", "echo"):
        return "C_UNKNOWN"
    yields = task == V15_INTERRUPTION and agent in ("oracle", "late", "greeting")
    return "C_RESPOND" if yields else "C_RESUME"


def sample_scores(agent, scene, channel, people):
    """[(scorer, metric, value or status, tolerance)]"""
    rows = []

    def add(scorer, values, tolerance):
        rows.extend((scorer, metric, value, tolerance) for metric, value in values.items())

    words, user, spoken = channel.words(), scene.user.segments(), channel.segments()
    duration_s = scene.duration_s
    if scene.task == BACKCHANNEL:
        samples = round(duration_s * AGENT_RATE_HZ)
        seconds = samples / AGENT_RATE_HZ
        clear = agent in CLEAR_SEGMENTS
        for scorer, segments in (("fdb-exact", d.on_benchmark_axis(spoken, AGENT_RATE_HZ, samples)),
                                 ("fdb-fixed", spoken)):
            score = d.backchannels(segments, words, people, seconds, scorer == "fdb-exact")
            jsd = {"backchannel_jsd": score.pop("backchannel_jsd")}
            frequency = {"backchannel_frequency_hz": score.pop("backchannel_frequency_hz")}
            add(scorer, score, WORDS)
            add(scorer, frequency, WORDS if clear else None)
            # Padding and the 0.1 s grid move the first and the last window of each.
            add(scorer, jsd, (WORDS if not spoken else 0.4) if clear else None)
        add("event", {"takeover_rate": d.pause_event(user, spoken)["takeover_rate"]}, WORDS)
        return rows
    if scene.task in V15:
        score = d.interruption_event(user, spoken, scene.events[0], duration_s)
        status = score.pop("status")
        score.pop("takeover_rate")  # the suite does not ask for it
        add("event", score, DETECTED_S)
        unmeasured = status in ("not_exercised", "right_censored")
        add("event", {"talked_through": status if unmeasured else int(status == "talked_through")},
            WORDS)
        add("v15", d.timing(user, spoken), None if agent == "echo" else INTERVAL_S)
        given = label(agent, scene.task)
        add("judge", {METRIC_OF_LABEL[name]: int(name == given) for name in LABELS}, WORDS)
        return rows
    if scene.task == INTERRUPTION:
        words = d.heard_after(words, scene.events[0][1])
    for scorer in ("fdb-exact", "fdb-fixed"):
        add(scorer, {"takeover_rate": d.takeover(words)}, WORDS)
        if scene.task in (INTERRUPTION, "candor_turn_taking"):
            due_s = scene.events[0][1 if scene.task == INTERRUPTION else 0]
            add(scorer, {"response_latency_s":
                         d.response_latency(words, due_s, scorer == "fdb-exact")}, WORDS)
    if scene.task == INTERRUPTION:
        score = d.interruption_event(user, spoken, scene.events[0], duration_s)
        if mark(agent, words) is not None:
            add("judge", {"judge_rating": mark(agent, words)}, WORDS)
    elif scene.task == "candor_turn_taking":
        score = d.turn_event(user, spoken, duration_s)
        score.pop("stop_latency_s")
    else:
        add("event", {"takeover_rate": d.pause_event(user, spoken)["takeover_rate"]}, WORDS)
        return rows
    score.pop("status")
    add("event", {"takeover_rate": score.pop("takeover_rate")}, WORDS)
    add("event", score, DETECTED_S)
    return rows


def row(place, scorer, metric, value, tolerance):
    said = {"status": value} if isinstance(value, str) else {"value": value}
    return {**place, "scorer": scorer, "metric": metric, **said, "tolerance": tolerance}


def rows(scores):
    """`scores`: {task: {sample: sample_scores()}}, in order."""
    result = []
    for task, samples in scores.items():
        by_metric = {}
        for sample, values in samples.items():
            for scorer, metric, value, tolerance in values:
                result.append(row({"task": task, "sample": sample}, scorer, metric, value, tolerance))
                by_metric.setdefault((scorer, metric), []).append((value, tolerance))
        for (scorer, metric), values in by_metric.items():
            numbers = [value for value, _ in values if not isinstance(value, str)]
            statuses = sorted({value for value, _ in values if isinstance(value, str)})
            mean = math.fsum(numbers) / len(numbers) if numbers else ", ".join(statuses)
            place = {"task": task, "n": len(numbers)}
            result.append(row(place, scorer, metric, mean, values[0][1]))
    return result
