"""Scenes and agents as FullDuplexBench's folders."""
import json
import wave

import numpy as np

from . import agents, scene as s, tasks
from .speech import RATE_HZ, resample

USER_RATES_HZ = (16000, 48000, 24000)
AGENT_RATE_HZ = 24000
# The benchmark takes every agent file of this task for 16 kHz; so that all scorers see the same
# speech, it is.
BACKCHANNEL_RATE_HZ = 16000
WINDOW_S = 0.2  # of the backchannel ground truth


def write_wav(path, audio, rate_hz):
    samples = np.clip(np.round(resample(audio, RATE_HZ, rate_hz) * 32768), -32768, 32767)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def transcript(words):
    return {"text": " ".join(word[0] for word in words),
            "chunks": [{"text": text, "timestamp": [start, end]} for text, start, end in words]}


def truth(channel):
    return [{"start_s": u.start_s, "end_s": u.end_s, "text": u.text} for u in channel]


def write_sample(folder, scene, agent_name):
    agent = agents.AGENTS[agent_name](scene)
    folder.mkdir(parents=True, exist_ok=True)
    user_rate_hz = USER_RATES_HZ[scene.cast.index % len(USER_RATES_HZ)]
    rate_hz = BACKCHANNEL_RATE_HZ if scene.gaps else AGENT_RATE_HZ
    write_wav(folder / "input.wav", scene.user.render(scene.duration_s), user_rate_hz)
    write_wav(folder / "output.wav", agent.render(scene.duration_s), rate_hz)
    words = agent.words()
    if scene.task == "synthetic_user_interruption":
        # As the benchmark: only what follows the interruption is transcribed.
        words = [word for word in words if word[1] >= scene.event[1]]
        write_json(folder / "interrupt.json", [{**scene.texts, "timestamp": list(scene.event)}])
    elif scene.clean_user is not None:
        write_json(folder / "metadata.json", {"context_text": scene.texts["context"],
                                              "current_turn_text": scene.texts["interrupt"],
                                              "timestamps": list(scene.event)})
        clean = tasks.Scene(scene.task, scene.cast, scene.clean_user, scene.duration_s)
        clean_agent = agents.AGENTS[agent_name](clean) if agent_name != "oracle" else undisturbed(scene)
        write_wav(folder / "clean_input.wav", scene.clean_user.render(scene.duration_s), user_rate_hz)
        write_wav(folder / "clean_output.wav", clean_agent.render(scene.duration_s), rate_hz)
        write_json(folder / "clean_output.json", transcript(clean_agent.words()))
        write_json(folder / "input.json", transcript(scene.user.words()))
        write_json(folder / "clean_input.json", transcript(scene.clean_user.words()))
    elif scene.event is not None:
        name = "turn_taking" if scene.task == "candor_turn_taking" else "pause"
        mark = "[TURN-TAKING]" if name == "turn_taking" else "[PAUSE]"
        write_json(folder / f"{name}.json", [{"text": mark, "timestamp": list(scene.event)}])
    write_json(folder / "output.json", transcript(words))
    write_json(folder / "truth.json", {"user": truth(scene.user), "agent": truth(agent),
                                       "event": scene.event, "duration_s": scene.duration_s})
    return agent


def undisturbed(scene):
    """The oracle where nobody speaks into its answer."""
    text = scene.cast.pick(s.REPLIES)
    reply = s.Channel()
    reply.say(scene.cast.agent(text), text, scene.clean_user[0].end_s + agents.ANSWER_AFTER_S)
    return s.Channel([s.cut(reply[0], scene.duration_s - 0.2)])


def ground_truth(scene):
    """Weight of each window: people give a backchannel in the gaps of the story."""
    centres = (np.arange(int(scene.duration_s / WINDOW_S) + 1) + 0.5) * WINDOW_S
    weights = sum(np.exp(-((centres - gap_s - 0.4) / 0.3) ** 2 / 2) for gap_s in scene.gaps)
    return [float(weight) for weight in weights / weights.sum()]


def write_all(out, names, samples, synthesisers):
    for suite, makers in (("v1.0", tasks.V10), ("v1.5", tasks.V15)):
        for name in names:
            root = out / suite / name
            people = {}
            frequencies_hz = []
            for task, make in makers.items():
                for index in range(samples):
                    scene = make(task, s.Cast(synthesisers, index))
                    agent = write_sample(root / task / str(index), scene, name)
                    if scene.gaps:
                        people[str(index)] = ground_truth(scene)
                        frequencies_hz.append(len(agent) / scene.duration_s)
            if people:
                write_json(root / "icc_gt_distribution.json", people)
            frequency_hz = sum(frequencies_hz) / len(frequencies_hz) if frequencies_hz else 0
            write_json(root / "expected.json", agents.expected(suite, name, frequency_hz))
