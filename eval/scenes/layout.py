"""Scenes and agents as FullDuplexBench's folders."""
import json
import wave

import numpy as np

from . import agents, definitions, expected, tasks
from .scene import AGENT_RATE_HZ, SEGMENT_GAP_S
from .speech import EDGE_DB, OTHER_VOICE
from .tasks import BACKCHANNEL, INTERRUPTION, V15

STEREO_PEAK_DB = -12.0  # of the somebody else in a second channel


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_wav(path, channels, rate_hz):
    """int16 channels of one length."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.stack(channels, axis=1).astype("<i2").tobytes())


def chunks(words):
    return [{"text": text, "timestamp": [start_s, end_s]} for text, start_s, end_s in words]


def transcript(words):
    return {"text": " ".join(word[0] for word in words), "chunks": chunks(words)}


def truth_of(channel):
    return {
        "rate_hz": channel.rate_hz,
        "speech": [{"text": u.text, "voice": u.voice, "speaker": u.speaker,
                    "start_sample": u.start, "end_sample": u.end,
                    "start_s": u.start_s, "end_s": u.end_s} for u in channel],
        "segments": [list(segment) for segment in channel.segments()],
        "words": chunks(channel.words()),
    }


def marks(scene):
    """{file: content} of the benchmark's annotation."""
    if scene.task in V15:
        return {"metadata.json": {"context_text": scene.context, "current_turn_text": scene.interrupt,
                                  "timestamps": list(scene.events[0])}}
    if scene.task == INTERRUPTION:
        return {"interrupt.json": [{"context": scene.context, "interrupt": scene.interrupt,
                                    "timestamp": list(scene.events[0])}]}
    items = [{"speaker": 0, "item": chunks(scene.user.words())}]
    if scene.task == BACKCHANNEL:
        return {"transcription.json": items}
    name, text = (("turn_taking.json", "[TURN-TAKING]") if scene.task == "candor_turn_taking"
                  else ("pause.json", "[PAUSE]"))
    return {name: [{"text": text, "timestamp": list(event)} for event in scene.events],
            "transcription.json": items}


def user_audio(synthesisers, scene):
    """Channels of input.wav: the user, and in a stereo file somebody else who never listens."""
    channels = [scene.user.render(scene.duration_s, f"{scene.key}/user")]
    if scene.stereo:
        pcm = synthesisers.render(OTHER_VOICE, tasks.BACKGROUND[0], scene.user.rate_hz, STEREO_PEAK_DB)
        other = np.resize(pcm, len(channels[0]))
        channels.append(other)
    return channels


def write_sample(folder, synthesisers, scene, agent_name):
    """Returns the agent's channel."""
    folder.mkdir(parents=True)
    channel = agents.perform(synthesisers, scene, agent_name)
    write_wav(folder / "input.wav", user_audio(synthesisers, scene), scene.user.rate_hz)

    def write_agent(name, said):
        audio = said.render(scene.duration_s, f"{scene.key}/{agent_name}/{name}")
        write_wav(folder / name, [audio], AGENT_RATE_HZ)

    write_agent("output.wav", channel)
    heard = channel.words()
    if scene.task == INTERRUPTION:
        heard = definitions.heard_after(heard, scene.events[0][1])
        rating = expected.mark(agent_name, heard)
        if rating is not None:
            write_json(folder / "rating.json", {"analysis": f"scripted: {agent_name}", "rating": rating})
    write_json(folder / "output.json", transcript(heard))
    for name, content in marks(scene).items():
        write_json(folder / name, content)
    truth = {
        "task": scene.task, "id": scene.sample_id, "agent_name": agent_name,
        "duration_s": scene.duration_s, "edge_db": EDGE_DB, "segment_gap_s": SEGMENT_GAP_S,
        "user_channel": 0, "channels": 2 if scene.stereo else 1,
        "events": [list(event) for event in scene.events],
        "backchannel_gaps_s": scene.gaps,
        "user": truth_of(scene.user), "agent": truth_of(channel),
    }
    if scene.task in V15:
        clean = agents.perform(synthesisers, scene, agent_name, clean=True)
        clean_audio = scene.clean_user.render(scene.duration_s, f"{scene.key}/user")
        write_wav(folder / "clean_input.wav", [clean_audio], scene.user.rate_hz)
        write_agent("clean_output.wav", clean)
        for name, said in (("input", scene.user), ("clean_input", scene.clean_user),
                           ("clean_output", clean)):
            write_json(folder / f"{name}.json", transcript(said.words()))
        write_json(folder / "content_tag.json",
                   {"behaviour": expected.label(agent_name, scene.task)})
        truth["clean_user"], truth["clean_agent"] = truth_of(scene.clean_user), truth_of(clean)
    write_json(folder / "truth.json", truth)
    return channel


def write_agent_root(root, synthesisers, name, samples, seed):
    """ROOT/TASK/ID/files, ROOT/icc_gt_distribution.json, ROOT/expected.json."""
    people, scores = {}, {}
    for task in tasks.TASKS:
        for index in range(samples):
            scene = tasks.make(synthesisers, task, index, seed)
            if task == BACKCHANNEL:
                # People encourage where the oracle does.
                oracle = agents.perform(synthesisers, scene, "oracle")
                people[scene.sample_id] = definitions.people(oracle.segments(), scene.duration_s)
            channel = write_sample(root / task / scene.sample_id, synthesisers, scene, name)
            scores.setdefault(task, {})[scene.sample_id] = expected.sample_scores(
                name, scene, channel, people.get(scene.sample_id))
    write_json(root / "icc_gt_distribution.json", people)
    write_json(root / "expected.json", {"agent": name, "samples": samples, "seed": seed,
                                        "rows": expected.rows(scores)})
