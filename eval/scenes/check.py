"""Do the files say what is in them? Read back without the code that wrote them."""
import json
import wave

import numpy as np

from .agents import AGENTS
from .tasks import BACKCHANNEL, INTERRUPTION, TASKS, V15

QUIET_PEAK = 4  # of what is between the utterances, in steps of 16 bit


def read_wav(path):
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return pcm.reshape(-1, file.getnchannels()).astype(np.int64), file.getframerate()


def check_channel(path, truth, channels, duration_s, edge_db):
    """Every utterance begins and ends where the truth says, and there is nothing else."""
    pcm, rate_hz = read_wav(path)
    if rate_hz != truth["rate_hz"] or pcm.shape[1] != channels:
        yield f"{path}: {rate_hz} Hz, {pcm.shape[1]} channels, which the truth does not say"
        return
    if abs(len(pcm) - duration_s * rate_hz) > 1e-6:
        yield f"{path}: {len(pcm)} samples at {rate_hz} Hz are not {duration_s} s"
    level = np.abs(pcm[:, 0])
    quiet = np.ones(len(level), dtype=bool)
    for said in truth["speech"]:
        start, end = said["start_sample"], said["end_sample"]
        if said["start_s"] != start / rate_hz or said["end_s"] != end / rate_hz:
            yield f"{path}: '{said['text']}': its samples and its seconds differ"
        if not 0 <= start < end <= len(level):
            yield f"{path}: '{said['text']}' lies outside the file"
            continue
        edge = level[start:end].max() * 10 ** (edge_db / 20)
        loud = np.flatnonzero(level[start:end] >= edge)
        if edge <= QUIET_PEAK or loud[0] != 0 or loud[-1] != end - start - 1:
            yield f"{path}: '{said['text']}' does not begin and end at the truth's samples"
        quiet[start:end] = False
    if quiet.any() and level[quiet].max() > QUIET_PEAK:
        yield f"{path}: sound at sample {int(np.argmax(level * quiet))}, where the truth has none"


def check_words(path, words, truth, begins_at=None):
    """Same first start and last end as the utterances, in order."""
    chunks = words["chunks"]
    if words["text"] != " ".join(chunk["text"] for chunk in chunks):
        yield f"{path}: its text is not that of its chunks"
    times = [chunk["timestamp"] for chunk in chunks]
    if any(len(pair) != 2 or not 0 <= pair[0] < pair[1] for pair in times):
        yield f"{path}: a chunk without a start before its end"
    if any(a[1] > b[0] for a, b in zip(times, times[1:])):
        yield f"{path}: chunks overlap"
    speech = truth["speech"]
    if begins_at is not None:
        speech = [said for said in speech if said["end_s"] > begins_at]
    if bool(speech) != bool(chunks):
        yield f"{path}: words and speech disagree"
    elif speech:
        first_s = speech[0]["start_s"] if begins_at is None else max(speech[0]["start_s"], begins_at)
        if times[0][0] != first_s or times[-1][1] != speech[-1]["end_s"]:
            yield f"{path}: the first start or the last end is not the truth's"


def is_interval(pair, duration_s):
    return (isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, float) for x in pair)
            and 0 <= pair[0] < pair[1] <= duration_s)


def check_marks(folder, task, truth):
    duration_s = truth["duration_s"]
    expected = {"candor_turn_taking": "turn_taking.json", INTERRUPTION: "interrupt.json",
                "synthetic_pause_handling": "pause.json", "candor_pause_handling": "pause.json"}
    if task in V15:
        marks = json.loads((folder / "metadata.json").read_text())
        if sorted(marks) != ["context_text", "current_turn_text", "timestamps"]:
            yield f"{folder}/metadata.json: other keys than the benchmark's"
        events = [marks["timestamps"]]
    elif task in expected:
        marks = json.loads((folder / expected[task]).read_text())
        keys = ["context", "interrupt", "timestamp"] if task == INTERRUPTION else ["text", "timestamp"]
        if any(sorted(mark) != keys for mark in marks):
            yield f"{folder}/{expected[task]}: other keys than the benchmark's"
        events = [mark["timestamp"] for mark in marks]
    else:
        events = []
    if events != truth["events"] or not all(is_interval(event, duration_s) for event in events):
        yield f"{folder}: the marks are not the truth's events"


def check_sample(folder, task):
    truth = json.loads((folder / "truth.json").read_text())
    duration_s, edge_db = truth["duration_s"], truth["edge_db"]
    files = [("input", "user", truth["channels"]), ("output", "agent", 1)]
    if task in V15:
        files += [("clean_input", "clean_user", 1), ("clean_output", "clean_agent", 1)]
    for name, channel, channels in files:
        yield from check_channel(folder / f"{name}.wav", truth[channel], channels, duration_s, edge_db)
        path = folder / f"{name}.json"
        if path.exists():
            after_s = truth["events"][0][1] if task == INTERRUPTION and name == "output" else None
            yield from check_words(path, json.loads(path.read_text()), truth[channel], after_s)
        elif name == "output" or task in V15:
            yield f"{path}: missing"
    yield from check_marks(folder, task, truth)


def check_root(root):
    """Findings about one agent's root."""
    expected = json.loads((root / "expected.json").read_text())
    ids = [str(i + 1) for i in range(expected["samples"])]
    people = json.loads((root / "icc_gt_distribution.json").read_text())
    if list(people) != ids or any(abs(sum(p) - 1) > 1e-9 or min(p) <= 0 for p in people.values()):
        yield f"{root}/icc_gt_distribution.json: not one distribution a sample of {BACKCHANNEL}"
    for task in TASKS:
        if sorted(entry.name for entry in (root / task).iterdir()) != sorted(ids):
            yield f"{root}/{task}: other samples than {', '.join(ids)}"
        for sample in ids:
            if (root / task / sample / "truth.json").exists():
                yield from check_sample(root / task / sample, task)
            else:
                yield f"{root}/{task}/{sample}: no truth.json"
    yield from check_deserved(root, expected)


# What every seed must give: [(agents, task, scorer, metric, value or status)].
PAUSES = ("synthetic_pause_handling", "candor_pause_handling")
TURN = "candor_turn_taking"
WORD_SCORERS = ("fdb-exact", "fdb-fixed")


def deserved():
    polite = ("oracle", "silent", "late", "talk_through")
    for task in PAUSES:
        for scorer in WORD_SCORERS:
            yield polite, task, scorer, "takeover_rate", 0
            yield ("always_talking", "echo", "greeting"), task, scorer, "takeover_rate", 1
        yield (*polite, "greeting"), task, "event", "takeover_rate", 0
        yield ("always_talking", "echo"), task, "event", "takeover_rate", 1
    for scorer in WORD_SCORERS:
        yield ("silent",), TURN, scorer, "takeover_rate", 0
        yield ("silent", "echo"), INTERRUPTION, scorer, "takeover_rate", 0
        yield polite, BACKCHANNEL, scorer, "takeover_rate", 0
        for task in (TURN, INTERRUPTION):
            yield ("oracle", "late", "always_talking"), task, scorer, "takeover_rate", 1
    yield ("greeting",), BACKCHANNEL, "fdb-exact", "takeover_rate", 0
    yield ("greeting",), BACKCHANNEL, "fdb-fixed", "takeover_rate", 1
    yield ("always_talking", "echo"), BACKCHANNEL, "fdb-exact", "takeover_rate", 1
    yield ("always_talking", "echo"), BACKCHANNEL, "fdb-fixed", "takeover_rate", 1
    yield ("silent",), BACKCHANNEL, "fdb-exact", "backchannel_jsd", 1
    yield ("silent",), BACKCHANNEL, "fdb-fixed", "backchannel_jsd", "no_backchannel"
    yield ("silent",), TURN, "event", "response_latency_s", "no_response"
    for task in (INTERRUPTION, V15[0]):
        yield ("silent", "echo"), task, "event", "stop_latency_s", "not_exercised"
        yield ("always_talking", "talk_through"), task, "event", "stop_latency_s", "talked_through"
    early = ("always_talking", "echo")
    yield early, TURN, "event", "response_latency_s", "spoke_before_turn_end"
    yield early, TURN, "fdb-exact", "response_latency_s", 0
    yield early, TURN, "fdb-fixed", "response_latency_s", "negative_latency"
    for task in V15[1:]:
        yield ("oracle", "late", "greeting", "talk_through", "always_talking"), task, "event", \
            "talked_through", 1


def check_deserved(root, expected):
    agent = expected["agent"]
    if agent not in AGENTS:
        yield f"{root}/expected.json: no agent of that name: {agent}"
        return
    found = {}
    for row in expected["rows"]:
        if "sample" in row:
            found.setdefault((row["task"], row["scorer"], row["metric"]), []).append(
                row.get("value", row.get("status")))
    for agents, task, scorer, metric, value in deserved():
        if agent in agents and any(x != value for x in found[task, scorer, metric]):
            yield (f"{root}: {task}, {scorer}, {metric}: {found[task, scorer, metric]}, deserved is "
                   f"{value}")
