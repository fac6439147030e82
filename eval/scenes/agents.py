"""The agents: what each says in a scene, and the scores that this deserves by the definitions.

An expectation is (scorer, metric, value, tolerance), or (scorer, metric, status). Values that come
from the agent's words are exact; those from a detector of speech have its error. Latencies of one
task are constant over its samples, so that the mean is the value of each.
"""
from . import scene as s
from .tasks import OVERLAP_TASKS

EXACT = 1e-6
DETECTED_S = 0.2  # of an onset or offset by any sensible detector

ANSWER_AFTER_S = 0.4
STOP_AFTER_S = 0.6  # longer than the shortest speech that a detector keeps
ANSWER_INTERRUPTION_AFTER_S = 0.5
ECHO_DELAY_S = 0.24

ANSWERED_TASKS = ("synthetic_user_interruption", "user_interruption")


def oracle(scene):
    """Stays silent in pauses, answers turns, encourages with backchannels, yields to
    interruptions, and to nothing else."""
    agent = s.Channel()
    cast = scene.cast
    if scene.task == "candor_turn_taking":
        text = cast.pick(s.ANSWERS)
        agent.say(cast.agent(text), text, scene.user[0].end_s + ANSWER_AFTER_S)
    elif scene.task == "icc_backchannel":
        for place, gap_s in enumerate(scene.gaps):
            text = s.BACKCHANNELS[(cast.index + place) % len(s.BACKCHANNELS)]
            agent.say(cast.agent(text), text, gap_s + 0.15)
    elif scene.event is not None and scene.task not in ("synthetic_pause_handling", "candor_pause_handling"):
        text = cast.pick(s.REPLIES)
        reply = s.Utterance(0, cast.agent(text), text)
        reply.start = round((scene.user[0].end_s + ANSWER_AFTER_S) * s.RATE_HZ)
        if scene.task in ANSWERED_TASKS:
            agent.append(s.cut(reply, scene.event[0] + STOP_AFTER_S))
            text = cast.pick(s.ANSWERS)
            agent.say(cast.agent(text), text, scene.event[1] + ANSWER_INTERRUPTION_AFTER_S)
        else:
            agent.append(s.cut(reply, scene.duration_s - 0.2))
    return agent


def silent(scene):
    """Never says anything."""
    return s.Channel()


def always_talking(scene):
    """Talks from beginning to end without listening."""
    agent = s.Channel()
    at_s = 0.05
    while at_s < scene.duration_s:
        text = s.REPLIES[len(agent) % len(s.REPLIES)]
        said = agent.say(scene.cast.agent(text), text, at_s)
        at_s = said.end_s + 0.1
    agent[-1] = s.cut(agent[-1], scene.duration_s - 0.05)
    return agent


def echo(scene):
    """Repeats the user a quarter of a second later."""
    agent = s.Channel()
    for utterance in scene.user:
        agent.append(s.cut(s.Utterance(utterance.start + round(ECHO_DELAY_S * s.RATE_HZ),
                                       utterance.samples, utterance.text), scene.duration_s))
    return agent


AGENTS = {"oracle": oracle, "silent": silent, "always_talking": always_talking, "echo": echo}

PAUSES = ("synthetic_pause_handling", "candor_pause_handling")


def _rate(task, value, scorers=("fdb-exact", "fdb-fixed", "event")):
    return [(task, scorer, "takeover_rate", value, EXACT) for scorer in scorers]


def _expected_v10(agent, frequency_hz):
    turn, backchannel, interruption = "candor_turn_taking", "icc_backchannel", "synthetic_user_interruption"
    words = ("fdb-exact", "fdb-fixed")
    takes_over = agent in ("always_talking", "echo")
    rows = []
    for task in (*PAUSES, backchannel):
        rows += _rate(task, 1 if takes_over else 0)
    rows += _rate(turn, 0 if agent == "silent" else 1)
    if agent == "oracle":
        rows += [(turn, scorer, "response_latency_s", ANSWER_AFTER_S, EXACT) for scorer in words]
        rows += [(turn, "event", "response_latency_s", ANSWER_AFTER_S, DETECTED_S)]
        rows += _rate(interruption, 1)
        rows += [(interruption, scorer, "response_latency_s", ANSWER_INTERRUPTION_AFTER_S, EXACT)
                 for scorer in words]
        rows += [(interruption, "event", "response_latency_s", ANSWER_INTERRUPTION_AFTER_S, DETECTED_S),
                 (interruption, "event", "stop_latency_s", STOP_AFTER_S, DETECTED_S),
                 (backchannel, "fdb-exact", "backchannel_frequency_hz", frequency_hz, EXACT),
                 (backchannel, "fdb-fixed", "backchannel_frequency_hz", frequency_hz, EXACT)]
    if agent == "silent":
        rows += _rate(interruption, 0, words)
        rows += [(turn, "fdb-exact", "response_latency_s", "no_takeover"),
                 (turn, "event", "response_latency_s", "no_response"),
                 (interruption, "event", "stop_latency_s", "not_exercised"),
                 (backchannel, "fdb-exact", "backchannel_frequency_hz", 0, EXACT),
                 (backchannel, "fdb-exact", "backchannel_jsd", 1, EXACT),
                 (backchannel, "fdb-fixed", "backchannel_jsd", "no_backchannel")]
    if agent == "always_talking":
        rows += _rate(interruption, 1)
        rows += [(turn, "fdb-exact", "response_latency_s", 0, EXACT),
                 (turn, "fdb-fixed", "response_latency_s", "negative_latency"),
                 (turn, "event", "response_latency_s", "spoke_before_turn_end"),
                 (interruption, "event", "stop_latency_s", "talked_through"),
                 (interruption, "event", "response_latency_s", "talked_through")]
    if agent == "echo":
        # Its words after the interruption: none begins after the user's last.
        rows += _rate(interruption, 0, words)
        rows += [(turn, "fdb-exact", "response_latency_s", 0, EXACT),
                 (turn, "fdb-fixed", "response_latency_s", "negative_latency"),
                 (turn, "event", "response_latency_s", "spoke_before_turn_end"),
                 (interruption, "event", "stop_latency_s", "not_exercised")]
    return rows


def _expected_v15(agent):
    rows = []
    for task in OVERLAP_TASKS:
        if agent in ("silent", "echo"):
            rows.append((task, "event", "talked_through", "not_exercised"))
        elif agent == "always_talking" or task not in ANSWERED_TASKS:
            rows += [(task, "event", "talked_through", 1, EXACT),
                     (task, "event", "stop_latency_s", "talked_through")]
        else:
            rows += [(task, "event", "talked_through", 0, EXACT),
                     (task, "event", "stop_latency_s", STOP_AFTER_S, DETECTED_S),
                     (task, "event", "response_latency_s", ANSWER_INTERRUPTION_AFTER_S, DETECTED_S)]
    return rows


def expected(suite, agent, frequency_hz):
    """What ppx-eval must find, as JSON. `frequency_hz`: mean of the oracle's backchannels a second."""
    rows = _expected_v10(agent, frequency_hz) if suite == "v1.0" else _expected_v15(agent)
    return [dict(zip(("task", "scorer", "metric", "status") if len(row) == 4 else
                     ("task", "scorer", "metric", "value", "tolerance"), row)) for row in rows]
