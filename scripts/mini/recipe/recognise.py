"""Word error rate of what the agent is heard to say against its own text stream, by a recogniser that has nothing
to do with the model: pocketsphinx with its English acoustic model, and a bigram of the agent's repertoire."""
import collections
import json
import math
import pathlib
import tempfile

import numpy as np
import pocketsphinx

from . import acoustics, texts
from .speech import Flite

RATE_HZ = 16000
GAP_S, MARGIN_S = 0.8, 0.3  # words nearer than that are heard together; what is heard around them
DISCOUNT = 0.3


def plain(text):
    return "".join(c for c in text.lower() if c.isalnum() or c in "' ").split()


def bigram_arpa(sentences):
    """Counts less a discount, which goes to all words in proportion to how often they are said."""
    unigrams, bigrams = collections.Counter(), collections.Counter()
    for words in sentences:
        words = ["<s>", *words, "</s>"]
        unigrams.update(words)
        bigrams.update(zip(words, words[1:]))
    total = sum(unigrams.values())
    follow = collections.defaultdict(list)
    for first, second in sorted(bigrams):
        follow[first].append(second)
    lines = ["\\data\\", f"ngram 1={len(unigrams)}", f"ngram 2={len(bigrams)}", "", "\\1-grams:"]
    for word in sorted(unigrams):
        left = DISCOUNT * len(follow[word]) / unigrams[word]
        seen = sum(unigrams[second] for second in follow[word]) / total
        lines.append(f"{math.log10(unigrams[word] / total):.4f} {word} "
                     f"{math.log10(max(left / (1 - seen), 1e-6)):.4f}")
    lines += ["", "\\2-grams:"]
    for first, second in sorted(bigrams):
        share = (bigrams[first, second] - DISCOUNT) / unigrams[first]
        lines.append(f"{math.log10(share):.4f} {first} {second}")
    return "\n".join([*lines, "", "\\end\\", ""])


def dictionary(words, known):
    """Lines of a pronouncing dictionary; what `known` lacks is pronounced as flite does."""
    flite, entries = Flite(), collections.defaultdict(list)
    for line in pathlib.Path(known).read_text(encoding="utf-8").splitlines():
        word = line.split()[0].split("(")[0]
        if word in words:
            entries[word].append(line)
    for word in sorted(words - entries.keys()):
        phones = [name for name, _ in flite.say("kal16", word, 1.0).phones if name != "pau"]
        entries[word].append(" ".join([word, *({"ax": "AH"}.get(p, p.upper()) for p in phones)]))
    return "\n".join(line for word in sorted(entries) for line in entries[word]) + "\n"


class Recogniser:
    def __init__(self):
        sentences = [plain(text) for text in texts.agent_sentences()]
        sentences += [plain(" ".join(texts.introduction(role, first, name)))
                      for role in texts.SERVICES for first, name in zip(texts.FIRST, texts.NAMES)]
        model = pathlib.Path(pocketsphinx.get_model_path()) / "en-us"
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "agent.lm").write_text(bigram_arpa(sentences), encoding="utf-8")
            (folder / "agent.dict").write_text(
                dictionary({word for words in sentences for word in words}, model / "cmudict-en-us.dict"),
                encoding="utf-8")
            self.decoder = pocketsphinx.Decoder(hmm=str(model / "en-us"), lm=str(folder / "agent.lm"),
                                                dict=str(folder / "agent.dict"), loglevel="FATAL")

    def words(self, samples, rate_hz):
        pcm = acoustics.resample(samples, rate_hz, RATE_HZ)
        self.decoder.start_utt()
        self.decoder.process_raw(np.clip(np.round(pcm * 32768), -32768, 32767).astype("<i2").tobytes(),
                                 full_utt=True)
        self.decoder.end_utt()
        found = self.decoder.hyp()
        return plain(found.hypstr) if found else []


def edits(wanted, heard):
    """Least number of words put in, left out or replaced."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


def sample_errors(recogniser, folder):
    """(edits, words) of a folder with output.wav and output.json."""
    audio, rate_hz = acoustics.read_wav(folder / "output.wav")
    spans = []
    for chunk in json.loads((folder / "output.json").read_text(encoding="utf-8"))["chunks"]:
        start, end = chunk["timestamp"]
        if spans and start - spans[-1][1] < GAP_S:
            spans[-1][1], spans[-1][2] = end, spans[-1][2] + plain(chunk["text"])
        else:
            spans.append([start, end, plain(chunk["text"])])
    wrong = count = 0
    for start, end, said in spans:
        part = audio[max(0, int((start - MARGIN_S) * rate_hz)):int((end + MARGIN_S) * rate_hz)]
        wrong += edits(said, recogniser.words(part, rate_hz))
        count += len(said)
    return wrong, count
