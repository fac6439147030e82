"""What an agent deserves: the metrics' definitions, written down once more and plainly.

Inputs are the truth of a scene, words as [(text, start_s, end_s)] and segments as [(start_s, end_s)].
Nothing here knows the toolkit's scorers, which are compared with it. A score is a number, or a text
that says why there is none.
"""
import math

# ---- FullDuplexBench v1.0 (arXiv 2503.04721) --------------------------------


def takeover(words):
    """Under 1 s from the first word's start to the last one's end, and 3 words at most: none."""
    if not words:
        return 0
    duration_s = words[-1][2] - words[0][1]
    return 0 if duration_s < 1 and len(words) <= 3 else 1


def response_latency(words, due_s, exact):
    """From `due_s` to the first word, where the agent took over."""
    if not takeover(words):
        return "no_takeover"
    latency_s = words[0][1] - due_s
    if latency_s < 0:
        return 0.0 if exact else "negative_latency"
    return latency_s


def heard_after(words, end_s):
    """What a recogniser hears in the audio from `end_s` on, as the benchmark transcribes answers to
    interruptions: a word that is under way is heard from there."""
    return [(text, max(start, end_s), end) for text, start, end in words if end > end_s]


def on_benchmark_axis(segments, rate_hz, samples):
    """The benchmark's detector takes every file for 16 kHz and rounds to tenths of a second."""
    stretch, duration_s = rate_hz / 16000, samples / 16000
    return [(max(0.0, round(start * stretch, 1)), min(round(end * stretch, 1), duration_s))
            for start, end in segments]


def inside(word, segment):
    (_, x, y), (s, e) = word, segment
    return (x >= s and y <= e) or (x <= e and y > e) or (x <= s and y > s)


def histogram(segments, duration_s):
    """How many segments touch each window of 0.2 s."""
    windows = [0.0] * (int(duration_s / 0.2) + 1)
    for start, end in segments:
        for i in range(int(start / 0.2), int(end / 0.2) + 1):
            if i < len(windows):
                windows[i] += 1
    return windows


def normalised(values):
    total = math.fsum(values)
    return [value / total for value in values]


def resized(values, count):
    """Linear interpolation from the first to the last value."""
    places = [i * (len(values) - 1) / max(count - 1, 1) for i in range(count)]
    result = []
    for place in places:
        low = min(int(place), len(values) - 1)
        high = min(low + 1, len(values) - 1)
        result.append(values[low] + (values[high] - values[low]) * (place - low))
    return result


def jensen_shannon_distance(p, q):
    p, q = normalised(p), normalised(q)
    middle = [(a + b) / 2 for a, b in zip(p, q)]
    divergence = math.fsum(a * math.log(a / m) for a, m in zip(p, middle) if a > 0)
    divergence += math.fsum(b * math.log(b / m) for b, m in zip(q, middle) if b > 0)
    return math.sqrt(max(divergence / 2, 0.0))


def people(segments, duration_s):
    """The distribution of people's backchannels, if they give them at `segments`."""
    return normalised([count + 1e-10 for count in histogram(segments, duration_s)])


def backchannels(segments, words, truth, duration_s, exact):
    """{takeover_rate, backchannel_frequency_hz, backchannel_jsd}"""
    counted, took_over = [], False
    for segment in segments:
        length_s = segment[1] - segment[0]
        if length_s > 3:
            took_over = True
            break
        counted.append(segment)
        long = length_s >= 1 or sum(inside(word, segment) for word in words) > 2
        took_over = long if exact else took_over or long
    if counted:
        ours = [count + 1e-10 for count in histogram(counted, duration_s)]
        jsd = jensen_shannon_distance(ours, resized(truth, len(ours)))
    else:
        jsd = 1.0 if exact else "no_backchannel"
    return {"takeover_rate": int(took_over), "backchannel_frequency_hz": len(counted) / duration_s,
            "backchannel_jsd": jsd}


# ---- FullDuplexBench v1.5 (arXiv 2507.23159) --------------------------------


def merged(segments, gap_s):
    result = []
    for start, end in sorted(segments):
        if result and start - result[-1][1] <= gap_s:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((start, end))
    return result


def turns(user, agent):
    return merged(user, 0.6), merged(agent, 0.5)


def timing(user, agent):
    """{stop_interval_s, response_interval_s}: means over the intervals."""
    user, agent = turns(user, agent)
    stop = [(max(u[0], a[0]), min(u[1], a[1])) for u in user for a in agent
            if max(u[0], a[0]) < min(u[1], a[1])]
    ends = {}
    for _, end in user:
        start = next((a[0] for a in agent if a[0] > end), None)
        if start is not None:
            ends[start] = max(end, ends.get(start, end))
    def mean(intervals):
        lengths = [round(end, 3) - round(start, 3) for start, end in intervals]
        return math.fsum(lengths) / len(lengths) if lengths else "none"
    return {"stop_interval_s": mean(stop),
            "response_interval_s": mean([(end, start) for start, end in ends.items()])}


# ---- events of both channels, without words ---------------------------------

RESPONSE_WINDOW_S = 3.0
EARLY_RESPONSE_S = 0.5
BACKCHANNEL_S = 1.0
GREETING_OVERLAP_S = 2.0


def event(status, takeover_rate=None, response=None, stop=None):
    """All three values; the status stands where there is none."""
    return {"status": status,
            "takeover_rate": status if takeover_rate is None else takeover_rate,
            "response_latency_s": status if response is None else response,
            "stop_latency_s": status if stop is None else stop}


def respond(starts, turn_end_s, duration_s, stop=None):
    """Whether the first of `starts` comes within the response window."""
    if starts and starts[0] <= turn_end_s + RESPONSE_WINDOW_S:
        return event("ok", 1, starts[0] - turn_end_s, stop)
    if duration_s < turn_end_s + RESPONSE_WINDOW_S:
        return event("right_censored")
    return event("no_response", 0)


def turn_event(user, agent, duration_s):
    user, agent = turns(user, agent)
    end_s = user[-1][1]
    early_s = end_s - EARLY_RESPONSE_S
    if any(start < early_s and end > end_s for start, end in agent):
        return event("spoke_before_turn_end", 1)
    return respond([start for start, end in agent if start > early_s and end > end_s], end_s,
                   duration_s)


def pause_event(user, agent):
    first, last = user[0][0], user[-1][1]
    for start, end in merged(agent, 0.5):
        if start <= first:
            took_over = min(end, last) - first >= GREETING_OVERLAP_S
        else:
            took_over = start < last and end - start >= BACKCHANNEL_S
        if took_over:
            return event("spoke_before_turn_end", 1)
    return event("ok", 0)


def interruption_event(user, agent, mark, duration_s):
    user, agent = turns(user, agent)
    def shared(segment):
        return min(segment[1], mark[1]) - max(segment[0], mark[0])
    start_s, end_s = max([mark, *(segment for segment in user if shared(segment) > 0)],
                         key=lambda segment: (segment in user, shared(segment)))
    spoken = [segment for segment in agent if segment[0] < start_s < segment[1]]
    if not spoken:
        return event("not_exercised")
    stop_s = spoken[0][1]
    if stop_s >= end_s:
        return event("talked_through", 1)
    later = [start for start, _ in agent if start > stop_s]
    if later and later[0] < end_s - EARLY_RESPONSE_S:
        return event("spoke_before_turn_end", 1)
    score = respond(later, end_s, duration_s)
    if score["status"] == "ok":
        score["stop_latency_s"] = stop_s - start_s
    return score
